//! What goes wrong, and when.

use std::collections::BTreeMap;

use super::calls::Call;

/// What becomes of a call. But for `Frozen`, its caller is told that the connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done.
    Lost,
    /// It is done, and the answer is lost.
    Unheard,
    /// Half of its rows are put. Of calls that have none: as `Unheard`.
    Torn,
    /// It is done after so many more calls, as that of a process that was frozen.
    Late(u64),
    /// It is done, and done again after so many more calls.
    Twice(u64),
    /// Its caller is frozen until so many more calls were made by others, or it is thawed; then it is done, and its caller
    /// goes on.
    Frozen(u64),
}

/// What becomes of a call now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Done,
    Lost,
    Unheard,
    Torn,
    Frozen { until: u64 },
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    is_thawed: bool,
    /// Calls so far; the next one has this number.
    count: u64,
    injected: BTreeMap<u64, Fault>,
    /// Calls to be done before the one with this number.
    late: BTreeMap<u64, Vec<Call>>,
}

impl Faults {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn thaw(&mut self) {
        self.is_thawed = true;
    }

    pub(super) fn is_thawed(&self) -> bool {
        self.is_thawed
    }

    pub(super) fn inject(&mut self, call: u64, fault: Fault) {
        self.injected.insert(call, fault);
    }

    /// What is to be done before this call, and what becomes of it.
    pub(super) fn next(&mut self, call: &Call) -> (Vec<Call>, Effect) {
        let number = self.count;
        self.count += 1;
        let mut due = Vec::new();
        while let Some(entry) = self.late.first_entry()
            && *entry.key() <= number
        {
            due.extend(entry.remove());
        }
        let effect = match self.injected.remove(&number) {
            None => Effect::Done,
            Some(Fault::Lost) => Effect::Lost,
            Some(Fault::Unheard) => Effect::Unheard,
            Some(Fault::Torn) => Effect::Torn,
            Some(Fault::Frozen(calls)) => Effect::Frozen {
                until: number + 1 + calls,
            },
            Some(Fault::Late(calls)) => {
                self.late.entry(number + calls).or_default().push(call.clone());
                Effect::Lost
            }
            Some(Fault::Twice(calls)) => {
                self.late.entry(number + calls).or_default().push(call.clone());
                Effect::Unheard
            }
        };
        (due, effect)
    }
}
