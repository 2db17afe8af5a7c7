//! Real servers to work with by hand: one Kafka broker and one `PostgreSQL`, until Ctrl-C.

use testbed::{Error, KAFKA_PASSWORD, KAFKA_USER, Kafka, Postgres};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (kafka, postgres) = tokio::try_join!(Kafka::start(), Postgres::start())?;
    println!("kafka            {}", kafka.bootstrap());
    println!(
        "kafka sasl       {} as {KAFKA_USER}, password {KAFKA_PASSWORD}",
        kafka.sasl_bootstrap()
    );
    println!(
        "kafka tls        {} with {}",
        kafka.tls_bootstrap(),
        kafka.certificates().ca().display()
    );
    println!("kafka sasl+tls   {}", kafka.sasl_tls_bootstrap());
    println!("postgres         {}", postgres.url());
    println!("Ctrl-C ends them and removes their files");
    let waiting = |source| Error::Io {
        what: "waiting for Ctrl-C".to_owned(),
        source,
    };
    tokio::signal::ctrl_c().await.map_err(waiting)
}
