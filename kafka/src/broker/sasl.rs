//! Proving who one is to a broker.

use std::time::Duration;

use api::SaslMechanism;
use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::access::Credentials;
use super::connection::Connection;
use super::connection_error::ConnectionError;
use super::scram::{self, Hash, ScramError};
use super::wire::Api;
use crate::error_code::ErrorCode;

/// Authenticates, and gives the time after which the broker wants to see it done again: the connection is to be
/// made anew before.
pub(super) async fn authenticate(
    connection: &mut Connection,
    credentials: &Credentials,
) -> Result<Option<Duration>, ConnectionError> {
    let mechanism = match credentials.mechanism {
        SaslMechanism::Plain => "PLAIN",
        SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
        SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
    };
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let answer = connection
        .exchange(&request, SaslHandshakeRequest::OLDEST)
        .await?;
    match ErrorCode::from_number(answer.error_code) {
        None => {}
        Some(ErrorCode::UnsupportedSaslMechanism) => {
            let offered: Vec<_> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
            return Err(ConnectionError::Mechanism {
                mechanism,
                offered: offered.join(", "),
            });
        }
        Some(code) => {
            return Err(ConnectionError::Refused {
                api: SaslHandshakeRequest::NAME,
                code,
            });
        }
    }
    let (username, password) = (credentials.username.expose(), credentials.password.expose());
    let lifetime = match credentials.mechanism {
        SaslMechanism::Plain => say(connection, format!("\0{username}\0{password}")).await?.1,
        SaslMechanism::ScramSha256 => scram(connection, Hash::Sha256, username, password).await?,
        SaslMechanism::ScramSha512 => scram(connection, Hash::Sha512, username, password).await?,
    };
    // Brokers say 0 where a proof does not grow old. A tenth is left for what is on its way.
    Ok((lifetime > Duration::ZERO).then(|| lifetime.mul_f64(0.9)))
}

async fn scram(
    connection: &mut Connection,
    hash: Hash,
    username: &str,
    password: &str,
) -> Result<Duration, ConnectionError> {
    let failed = |error: ScramError| ConnectionError::Authentication(error.to_string());
    let (begun, first) = scram::begin(hash, username, rand::random());
    let (challenge, _) = say(connection, first).await?;
    let (proved, second) = begun.prove(password, &challenge).map_err(failed)?;
    let (proof, lifetime) = say(connection, second).await?;
    proved.check(&proof).map_err(failed)?;
    Ok(lifetime)
}

/// Sends one message of a conversation; gives the broker's, and how long it will believe us.
async fn say(connection: &mut Connection, message: String) -> Result<(Bytes, Duration), ConnectionError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
    let version = connection.version(&request)?;
    let answer = connection.exchange(&request, version).await?;
    if let Some(code) = ErrorCode::from_number(answer.error_code) {
        let message = answer
            .error_message
            .map_or_else(|| code.to_string(), |message| message.to_string());
        return Err(ConnectionError::Authentication(message));
    }
    let lifetime = Duration::from_millis(answer.session_lifetime_ms.try_into().unwrap_or(0));
    Ok((answer.auth_bytes, lifetime))
}
