//! Real servers to work with by hand, until Ctrl-C: one Kafka broker and one `PostgreSQL`, and beside them, if asked
//! for, Kubernetes (`control-plane`, or as root `cluster`, whose pods reach both).

use testbed::{Cluster, ControlPlane, Error, KAFKA_PASSWORD, KAFKA_USER, Kafka, Kubernetes, Postgres};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut plane = None;
    let mut cluster = None;
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("control-plane") => plane = Some(ControlPlane::start().await?),
        Some("cluster") => cluster = Some(Cluster::start().await?),
        Some(other) => {
            return Err(Error::Misuse(format!(
                "{other}: there are `control-plane` and `cluster`"
            )));
        }
    }
    let (mut kafka, mut postgres) = (Kafka::builder(), Postgres::builder());
    if let Some(cluster) = &cluster {
        kafka = kafka.listen_on(cluster.host_address());
        postgres = postgres.listen_on(cluster.host_address());
    }
    let (kafka, postgres) = tokio::try_join!(kafka.start(), postgres.start())?;
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
    let kubernetes: Option<&Kubernetes> = cluster.as_deref().or(plane.as_deref());
    if let Some(kubernetes) = kubernetes {
        println!(
            "kubernetes       KUBECONFIG={}",
            kubernetes.kubeconfig().display()
        );
        println!("kubectl          {}", kubernetes.kubectl_program().display());
        println!("helm             {}", kubernetes.helm_program().display());
    }
    println!("Ctrl-C ends them and removes their files");
    let waiting = |source| Error::Io {
        what: "waiting for Ctrl-C".to_owned(),
        source,
    };
    tokio::signal::ctrl_c().await.map_err(waiting)
}
