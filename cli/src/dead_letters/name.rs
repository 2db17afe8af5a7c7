//! How a person names a dead letter: `topic/partition/offset`, and its digest behind that where it has to be. Pure.

use std::str::FromStr;

use api::Partition;
use sinks::StoredDeadLetter;

/// A dead letter's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LetterName {
    pub(super) partition: Partition,
    pub(super) offset: i64,
    /// Tells records apart that had the same offset, before and after their topic was made again.
    digest: Option<i64>,
}

impl FromStr for LetterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (topic, number, offset, digest) = match *parts.as_slice() {
            [topic, number, offset] => (topic, number, offset, None),
            [topic, number, offset, digest] => (topic, number, offset, Some(digest)),
            _ => return Err(wrong()),
        };
        let digest = digest
            .map(|digest| u64::from_str_radix(digest, 16).map(u64::cast_signed))
            .transpose();
        match (number.parse(), offset.parse(), digest) {
            (Ok(number), Ok(offset), Ok(digest)) if !topic.is_empty() => Ok(Self {
                partition: Partition {
                    topic: topic.into(),
                    number,
                },
                offset,
                digest,
            }),
            _ => Err(wrong()),
        }
    }
}

fn wrong() -> String {
    "name a record as TOPIC/PARTITION/OFFSET, such as music_events/3/1201".to_owned()
}

impl LetterName {
    /// The one among the letters of its offset, or why it is none.
    pub(super) fn choose(&self, mut found: Vec<StoredDeadLetter>) -> Result<StoredDeadLetter, String> {
        if let Some(digest) = self.digest {
            found.retain(|letter| letter.id.digest == digest);
        }
        match (found.pop(), found.as_slice()) {
            (Some(letter), []) => Ok(letter),
            (None, _) => Err(format!(
                "there is no dead letter {}/{}; `list` shows those that there are",
                self.partition, self.offset
            )),
            (Some(letter), others) => {
                let names: Vec<String> = others
                    .iter()
                    .chain([&letter])
                    .map(|letter| letter.id.to_string())
                    .collect();
                Err(format!(
                    "{} dead letters have this offset, since the topic was deleted and made again; name one of {}",
                    names.len(),
                    names.join(", ")
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sinks::DeadLetterId;

    use super::*;

    fn letter(digest: i64) -> StoredDeadLetter {
        StoredDeadLetter {
            id: DeadLetterId {
                partition: Partition {
                    topic: "plays".into(),
                    number: 3,
                },
                offset: 1201,
                digest,
            },
            timestamp: None,
            key: None,
            value: None,
            stage: "decode".to_owned(),
            error: String::new(),
            stored_at: String::new(),
            replayed_at: None,
        }
    }

    fn choose(name: &str, digests: &[i64]) -> Result<i64, String> {
        let name: LetterName = name.parse()?;
        let found = digests.iter().copied().map(letter).collect();
        name.choose(found).map(|letter| letter.id.digest)
    }

    #[test]
    fn a_letter_is_named_by_its_record_and_by_its_digest_where_that_is_not_enough() {
        assert_eq!(choose("plays/3/1201", &[-1]), Ok(-1));
        assert_eq!(choose("plays/3/1201/ffffffffffffffff", &[1, -1]), Ok(-1));
        assert_eq!(choose(&letter(-7).id.to_string(), &[1, -7]), Ok(-7));
        assert_eq!(
            choose("plays/3/1201", &[1, -1]).unwrap_err(),
            "2 dead letters have this offset, since the topic was deleted and made again; name one of \
             plays/3/1201/0000000000000001, plays/3/1201/ffffffffffffffff"
        );
        for (name, digests) in [("plays/3/1201", [].as_slice()), ("plays/3/1201/2", &[1])] {
            assert_eq!(
                choose(name, digests).unwrap_err(),
                "there is no dead letter plays/3/1201; `list` shows those that there are"
            );
        }
        for wrong in [
            "17",
            "plays/3",
            "plays/x/1",
            "plays/3/1201/xyz",
            "/3/1201",
            "a/b/1/2/3",
        ] {
            assert!(
                choose(wrong, &[1]).unwrap_err().starts_with("name a record as"),
                "{wrong}"
            );
        }
    }
}
