//! Instances of the plans, each for one batch at a time.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::Instance;

/// As many instances as batches may be worked on at the same time.
pub(super) struct Instances {
    /// A permit for each instance that is idle.
    free: Semaphore,
    idle: Mutex<Vec<Arc<Instance>>>,
}

/// An instance that nobody else has; dropping it gives it back.
pub(super) struct Taken<'a> {
    instance: Arc<Instance>,
    from: &'a Instances,
    /// Goes after [`Drop::drop`] has put the instance back.
    _permit: SemaphorePermit<'a>,
}

impl Instances {
    pub(super) fn new(idle: Vec<Instance>) -> Self {
        Self {
            free: Semaphore::new(idle.len()),
            idle: Mutex::new(idle.into_iter().map(Arc::new).collect()),
        }
    }

    /// Waits for an instance.
    pub(super) async fn take(&self) -> Taken<'_> {
        loop {
            let Ok(permit) = self.free.acquire().await else {
                // Nobody closes it.
                return std::future::pending().await;
            };
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if let Some(instance) = idle {
                return Taken {
                    instance,
                    from: self,
                    _permit: permit,
                };
            }
        }
    }
}

impl Deref for Taken<'_> {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut idle = self.from.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Arc::clone(&self.instance));
    }
}
