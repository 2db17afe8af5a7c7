//! SCRAM (RFC 5802): both sides prove that they know the password, and neither says it.

use std::num::NonZeroU32;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::{digest, hmac, pbkdf2};

/// The fewest rounds that Kafka lets anybody configure; fewer would give the password away to whoever guesses.
const MIN_ROUNDS: u32 = 4_096;
/// More would keep this process busy for seconds.
const MAX_ROUNDS: u32 = 1_000_000;

/// The hash that a mechanism is built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

/// What was wrong with the broker's side of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("the broker refuses: {0}")]
    Refused(String),
    #[error("the broker's message makes no sense: {0}")]
    Nonsense(&'static str),
    #[error("the broker asks for {0} rounds; {MIN_ROUNDS} to {MAX_ROUNDS} are accepted")]
    Rounds(u32),
    #[error("the broker does not know the password: it is not the one that it says it is")]
    Impostor,
}

/// A conversation of which the first word is said.
#[derive(Debug)]
pub(super) struct Begun {
    hash: Hash,
    nonce: String,
    /// The first message without its GS2 header.
    bare: String,
}

/// A conversation in which the broker has to prove itself.
#[derive(Debug)]
pub(super) struct Proved {
    signature: Vec<u8>,
}

impl Hash {
    fn digest(self, bytes: &[u8]) -> digest::Digest {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes)
    }

    fn sign(self, key: &[u8], message: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), message)
    }

    fn salted(self, password: &[u8], salt: &[u8], rounds: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256_OUTPUT_LEN),
            Self::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, digest::SHA512_OUTPUT_LEN),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, rounds, salt, password, &mut salted);
        salted
    }
}

/// Begins a conversation: gives the first message. `random` must never be used again.
pub(super) fn begin(hash: Hash, username: &str, random: [u8; 24]) -> (Begun, String) {
    let nonce = BASE64_STANDARD.encode(random);
    // The two characters that stand for something in these messages.
    let username = username.replace('=', "=3D").replace(',', "=2C");
    let bare = format!("n={username},r={nonce}");
    let message = format!("n,,{bare}");
    (Begun { hash, nonce, bare }, message)
}

impl Begun {
    /// Answers the broker's challenge: gives the second message.
    pub(super) fn prove(self, password: &str, challenge: &[u8]) -> Result<(Proved, String), ScramError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| ScramError::Nonsense("it is no text"))?;
        let nonce = field(challenge, "r=")?;
        let salt = BASE64_STANDARD
            .decode(field(challenge, "s=")?)
            .map_err(|_| ScramError::Nonsense("its salt is not in base 64"))?;
        let rounds: u32 = field(challenge, "i=")?
            .parse()
            .map_err(|_| ScramError::Nonsense("its number of rounds is none"))?;
        if !nonce.starts_with(&self.nonce) || nonce == self.nonce {
            return Err(ScramError::Nonsense("it does not continue our nonce"));
        }
        let bounded = Some(rounds).filter(|rounds| (MIN_ROUNDS..=MAX_ROUNDS).contains(rounds));
        let rounds = bounded
            .and_then(NonZeroU32::new)
            .ok_or(ScramError::Rounds(rounds))?;

        let hash = self.hash;
        let salted = hash.salted(password.as_bytes(), &salt, rounds);
        // "biws" is the GS2 header "n,," in base 64: no channel binding.
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{without_proof}", self.bare);
        let client_key = hash.sign(&salted, b"Client Key");
        let stored_key = hash.digest(client_key.as_ref());
        let client_signature = hash.sign(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(client_signature.as_ref())
            .map(|(key, signature)| key ^ signature)
            .collect();
        let server_key = hash.sign(&salted, b"Server Key");
        let signature = hash
            .sign(server_key.as_ref(), signed.as_bytes())
            .as_ref()
            .to_vec();
        let message = format!("{without_proof},p={}", BASE64_STANDARD.encode(proof));
        Ok((Proved { signature }, message))
    }
}

impl Proved {
    /// Looks at the broker's own proof.
    pub(super) fn check(self, proof: &[u8]) -> Result<(), ScramError> {
        let proof = std::str::from_utf8(proof).map_err(|_| ScramError::Nonsense("it is no text"))?;
        let signature = BASE64_STANDARD
            .decode(field(proof, "v=")?)
            .map_err(|_| ScramError::Nonsense("its proof is not in base 64"))?;
        if signature == self.signature {
            Ok(())
        } else {
            Err(ScramError::Impostor)
        }
    }
}

/// A field of a message, which may instead be an error (`e=`).
fn field<'a>(message: &'a str, name: &str) -> Result<&'a str, ScramError> {
    let find = |name| message.split(',').find_map(|field| field.strip_prefix(name));
    find(name).ok_or_else(|| match find("e=") {
        Some(error) => ScramError::Refused(error.to_owned()),
        None => ScramError::Nonsense("a field is missing"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conversation of RFC 7677, section 3.
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const PROOF: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn begun() -> Begun {
        Begun {
            hash: Hash::Sha256,
            nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
            bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
        }
    }

    #[test]
    fn the_example_of_the_standard_comes_out() {
        let (proved, message) = begun().prove("pencil", CHALLENGE.as_bytes()).unwrap();
        assert_eq!(
            message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(proved.check(PROOF.as_bytes()), Ok(()));
    }

    #[test]
    fn a_broker_that_does_not_know_the_password_is_found_out() {
        let (proved, _) = begun().prove("another", CHALLENGE.as_bytes()).unwrap();
        assert_eq!(proved.check(PROOF.as_bytes()), Err(ScramError::Impostor));
        let (proved, _) = begun().prove("pencil", CHALLENGE.as_bytes()).unwrap();
        assert_eq!(
            proved.check(b"e=other-error"),
            Err(ScramError::Refused("other-error".to_owned()))
        );
    }

    #[test]
    fn a_challenge_that_weakens_the_password_is_refused() {
        for (challenge, wanted) in [
            (CHALLENGE.replace("4096", "1"), ScramError::Rounds(1)),
            (
                CHALLENGE.replace("4096", "4000000000"),
                ScramError::Rounds(4_000_000_000),
            ),
            (
                CHALLENGE.replace("rOpr", "xOpr"),
                ScramError::Nonsense("it does not continue our nonce"),
            ),
            (
                "s=W22Z,i=4096".to_owned(),
                ScramError::Nonsense("a field is missing"),
            ),
            (
                "r=rOprNGfwEbeRWgbNEkqO1,s=?,i=4096".to_owned(),
                ScramError::Nonsense("its salt is not in base 64"),
            ),
        ] {
            assert_eq!(begun().prove("pencil", challenge.as_bytes()).unwrap_err(), wanted);
        }
    }

    #[test]
    fn names_cannot_break_out_of_their_field() {
        let (_, message) = begin(Hash::Sha512, "a=b,r=c", [0; 24]);
        assert_eq!(message, "n,,n=a=3Db=2Cr=3Dc,r=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    }
}
