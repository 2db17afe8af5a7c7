//! Short digests as text.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The first 16 bytes in hexadecimal: more than enough to tell things apart that nobody makes alike on purpose.
pub(crate) fn short(hash: Sha256) -> String {
    let mut digest = String::with_capacity(32);
    for byte in hash.finalize().iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}
