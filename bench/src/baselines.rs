//! Baselines in Python, in an environment of their own: what people write without this product.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{BenchError, io};
use crate::measure::{Row, rate};
use crate::servers::Servers;

/// Events that the Faker baseline produces: it is a thousand times slower.
const FAKER_EVENTS: u32 = 20_000;
/// Rows of the others: enough to be past their start.
const COPIED: u32 = 1_000_000;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/requirements.txt");
const SPARK_REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/requirements-spark.txt");
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines");

/// What of ours the baselines are compared with, from the same run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ours {
    /// Events a second to Kafka.
    pub(crate) produced: f64,
    /// Rows a second into an append table.
    pub(crate) appended: f64,
    /// Records a second into a merge table.
    pub(crate) merged: f64,
    /// CPU microseconds a record.
    pub(crate) cpu: f64,
    /// Peak of resident memory in MB.
    pub(crate) memory: f64,
}

/// A Python environment next to the programs, made once.
struct Python(PathBuf);

impl Python {
    fn environment(name: &str, requirements: &[&str]) -> Result<Self, BenchError> {
        let own = std::env::current_exe().map_err(io("finding the programs"))?;
        let folder = own.with_file_name(name);
        let python = folder.join("bin/python");
        if !folder.join("complete").exists() {
            eprintln!("installing {} (once) ...", requirements.join(" and "));
            run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            for requirement in requirements {
                run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r", requirement]))?;
            }
            std::fs::write(folder.join("complete"), "").map_err(io("noting that Python is there"))?;
        }
        Ok(Self(python))
    }

    /// The last line that a script prints.
    fn run(&self, script: &str, arguments: &[&str]) -> Result<String, BenchError> {
        let output = run(Command::new(&self.0)
            .arg(Path::new(SCRIPTS).join(script))
            .args(arguments))?;
        Ok(output.lines().last().unwrap_or_default().to_owned())
    }
}

fn run(command: &mut Command) -> Result<String, BenchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(io(&program))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(BenchError::Program {
        program,
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn figure(text: &str) -> Result<f64, BenchError> {
    text.trim()
        .parse()
        .map_err(|_| BenchError::NoFigure(text.to_owned()))
}

fn compared(what: &str, (ours, baseline): (String, String), ratio: f64, goal: &str) -> Row {
    Row {
        what: what.to_owned(),
        figure: ours,
        baseline,
        ratio: Some(ratio),
        goal: goal.to_owned(),
    }
}

/// Faker with kafka-python, and confluent-kafka with COPY, over the topic `append` that is filled already.
pub(crate) async fn python(servers: &Servers, ours: Ours) -> Result<Vec<Row>, BenchError> {
    let python = Python::environment("python", &[REQUIREMENTS])?;
    let bootstrap = servers.kafka.bootstrap();
    let events = FAKER_EVENTS.to_string();
    let faker = |kind| -> Result<f64, BenchError> {
        figure(&python.run("faker_kafka.py", &[&bootstrap, "faker", &events, kind])?)
    };
    let (person, numbers) = (faker("person")?, faker("numbers")?);
    servers
        .execute("CREATE TABLE python_copy (LIKE plays INCLUDING ALL)")
        .await?;
    let (url, rows) = (servers.postgres.url(), COPIED.to_string());
    let arguments = [&*bootstrap, "append", "8", &url, "python_copy", &rows];
    let copy = figure(&python.run("python_copy.py", &arguments)?)?;
    Ok(vec![
        compared(
            "generator to Kafka",
            (
                rate(ours.produced),
                format!("Python Faker → kafka-python, a person an event: {}", rate(person)),
            ),
            ours.produced / person,
            "≥ 200",
        ),
        compared(
            "generator to Kafka",
            (
                rate(ours.produced),
                format!("Python Faker → kafka-python, only numbers: {}", rate(numbers)),
            ),
            ours.produced / numbers,
            "",
        ),
        compared(
            "worker, append table",
            (
                rate(ours.appended),
                format!("Python confluent-kafka → COPY: {}", rate(copy)),
            ),
            ours.appended / copy,
            "≥ 3",
        ),
    ])
}

/// A number of the line of JSON that the Spark script prints.
fn member(json: &str, name: &str) -> Result<f64, BenchError> {
    let read = |value: serde_json::Value| value.get(name)?.as_f64();
    let number = serde_json::from_str(json).ok().and_then(read);
    number.ok_or_else(|| BenchError::NoFigure(json.to_owned()))
}

/// `PySpark` Structured Streaming over the topics `append` and `merge`, which hold `events` records each.
pub(crate) async fn spark(servers: &Servers, ours: Ours, events: u64) -> Result<Vec<Row>, BenchError> {
    let python = Python::environment("spark", &[REQUIREMENTS, SPARK_REQUIREMENTS])?;
    let jars = python.0.with_file_name("jars");
    if !jars.exists() {
        run(Command::new("mvn")
            .args([
                "-q",
                "-B",
                "dependency:copy-dependencies",
                "-DexcludeTransitive=true",
                "-f",
            ])
            .arg(Path::new(SCRIPTS).join("pom.xml"))
            .arg(format!("-DoutputDirectory={}", jars.display())))?;
    }
    servers
        .execute(
            "CREATE TABLE spark_append (LIKE plays INCLUDING ALL); \
             CREATE TABLE spark_merge (genre int, hour timestamptz, plays bigint, PRIMARY KEY (genre, hour))",
        )
        .await?;
    let spark = |mode: &str| {
        let checkpoint = servers.folder().join(format!("checkpoint-{mode}"));
        let (jars, checkpoint) = (jars.display().to_string(), checkpoint.display().to_string());
        let (host, port) = (
            servers.postgres.host().to_string(),
            servers.postgres.port().to_string(),
        );
        let (user, password) = (servers.postgres.user(), servers.postgres.password());
        let bootstrap = servers.kafka.bootstrap();
        let (table, events) = (format!("spark_{mode}"), events.to_string());
        python.run(
            "spark.py",
            &[
                mode,
                &bootstrap,
                mode,
                &host,
                &port,
                user,
                password,
                &jars,
                &checkpoint,
                &table,
                &events,
            ],
        )
    };
    let (append, merge) = (spark("append")?, spark("merge")?);
    let (appended, merged) = (member(&append, "rate")?, member(&merge, "rate")?);
    let cpu = member(&append, "cpu")? / events as f64 * 1e6;
    let memory = member(&append, "memory")?;
    Ok(vec![
        compared(
            "worker, append table",
            (rate(ours.appended), format!("PySpark → JDBC: {}", rate(appended))),
            ours.appended / appended,
            "≥ 5",
        ),
        compared(
            "worker, merge table (with a join, which PySpark's does not have)",
            (
                rate(ours.merged),
                format!("PySpark, grouped, staged and merged: {}", rate(merged)),
            ),
            ours.merged / merged,
            "≥ 8",
        ),
        compared(
            "worker, CPU a record",
            (format!("{:.2} µs", ours.cpu), format!("PySpark: {cpu:.1} µs")),
            ours.cpu / cpu,
            "≤ 0.1",
        ),
        compared(
            "worker, memory",
            (
                format!("{:.0} MB", ours.memory),
                format!("PySpark: {memory:.0} MB"),
            ),
            ours.memory / memory,
            "≤ 0.2",
        ),
        Row {
            what: "PySpark, start of the process to the first row".to_owned(),
            figure: format!("{:.1} s", member(&append, "first_row")?),
            baseline: String::new(),
            ratio: None,
            goal: String::new(),
        },
    ])
}
