//! A broker that asks for rights, and giving them.

use testbed::{KAFKA_USER, Kafka};

/// A broker that asks what a user may do; the one without a password may do everything.
pub(crate) async fn with_authorizer() -> Kafka {
    Kafka::builder()
        .config(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .config("super.users", "User:ANONYMOUS")
        .start()
        .await
        .unwrap()
}

/// Gives [`KAFKA_USER`] a right; `kind` is `--group` or `--topic`.
pub(crate) async fn allow(kafka: &Kafka, operation: &str, kind: &str, name: &str) {
    let (servers, user) = (kafka.bootstrap(), format!("User:{KAFKA_USER}"));
    let arguments = [
        "org.apache.kafka.tools.AclCommand",
        "--bootstrap-server",
        &servers,
        "--add",
        "--allow-principal",
        &user,
        "--operation",
        operation,
        kind,
        name,
    ];
    kafka.tool(&arguments).await.unwrap();
}
