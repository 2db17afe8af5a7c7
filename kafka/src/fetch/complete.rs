//! The complete batches of an answer: brokers cut the last one off.

use super::batch::{BatchError, Batches};

/// The complete batches of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Complete {
    /// Bytes of them.
    pub(super) length: usize,
    /// The offset after them.
    pub(super) next: i64,
}

/// What of `records` is whole; `None` if nothing is. What is broken comes when it is the first of an answer.
pub(super) fn complete_batches(records: &[u8], start: i64) -> Result<Option<Complete>, BatchError> {
    let mut whole = None;
    let mut batches = Batches::new(records);
    while let Some(batch) = batches.next() {
        match batch {
            Ok(batch) => {
                whole = Some(Complete {
                    length: records.len() - batches.rest().len(),
                    next: batch.last_offset + 1,
                });
            }
            Err(error) if whole.is_none() => return Err(error),
            Err(_) => break,
        }
    }
    match whole {
        Some(complete) if complete.next <= start => Err(BatchError::Malformed {
            offset: start,
            what: "the broker sends what lies before it instead",
        }),
        whole => Ok(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::encode::{Plan, encode};

    #[test]
    fn what_is_whole_is_taken_and_what_is_broken_comes_first_next_time() {
        let first = encode(&Plan::at(7), &Plan::values(3));
        let mut broken = encode(&Plan::at(10), &Plan::values(2));
        let both = [first.clone(), broken.clone()].concat();
        let whole = |length, next| Some(Complete { length, next });
        assert_eq!(complete_batches(&both, 8).unwrap(), whole(both.len(), 12));
        assert_eq!(
            complete_batches(&both[..both.len() - 1], 8).unwrap(),
            whole(first.len(), 10)
        );
        assert_eq!(complete_batches(&first[..30], 8).unwrap(), None);
        broken[16] = 1;
        assert_eq!(
            complete_batches(&[first, broken.clone()].concat(), 8).unwrap(),
            whole(both.len() - broken.len(), 10)
        );
        assert!(matches!(
            complete_batches(&broken, 10),
            Err(BatchError::Format { .. })
        ));
    }

    /// Otherwise the same would be asked for again and again.
    #[test]
    fn a_broker_that_does_not_get_on_is_refused() {
        let batch = encode(&Plan::at(7), &Plan::values(3));
        assert!(complete_batches(&batch, 9).is_ok());
        assert!(matches!(
            complete_batches(&batch, 10),
            Err(BatchError::Malformed { .. })
        ));
    }
}
