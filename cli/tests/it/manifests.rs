//! What a person learns about a manifest, and about the command, without any server.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::support::{MUSIC, POSTGRES, Place, golden};

#[test]
fn wrong_manifests_are_refused_with_place_problem_and_remedy() {
    for (from, to, expected) in [
        (
            "partitions: 2",
            "partitons: 2",
            "music.yaml: line 9, column 7: there is no field partitons here; did you mean partitions?",
        ),
        (
            "rate: 1000",
            "rate: 0",
            "music.yaml: spec.generator.rate: a rate has to be more than 0 and at most 10000000 events a second",
        ),
        (
            "sum: [plays]",
            "sum: [genre]",
            "music.yaml: spec.tables[2].write.merge",
        ),
        (
            "SELECT t.genre",
            "SELECT t.gender",
            "music.yaml: spec.tables[2].sql: No field named t.gender.",
        ),
        (
            "date_trunc('hour'",
            "date_trunk('hour'",
            "music.yaml: spec.tables[2].sql: Invalid function 'date_trunk'.",
        ),
        (
            "SELECT user_id, track_id, event_timestamp FROM events WHERE event_type = 'like'",
            "SELECT INTERVAL '1 day' AS span FROM events",
            "music.yaml: spec.tables[1].sql: column span has the type Interval(MonthDayNano), which no sink can hold",
        ),
        (
            "user: user_id, item",
            "user: listener, item",
            "music.yaml: spec.models[1].recommender.user: the table plays has no column listener; name one of user_id, \
             track_id, event_timestamp",
        ),
    ] {
        assert!(MUSIC.contains(from), "{from}");
        let place = Place::with(&MUSIC.replace(from, to));
        let outcome = place.run(&["validate", "-f", "music.yaml"]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome}");
        assert!(outcome.stderr.starts_with(expected), "{to}: {outcome}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    }
}

/// Whatever the command, a wrong manifest ends it before anything is done.
#[test]
fn every_command_refuses_a_wrong_manifest_with_exit_code_2() {
    let place = Place::with(&MUSIC.replace("partitions: 2", "partitions: -1"));
    for arguments in [
        vec!["plan", "-f", "music.yaml"],
        vec!["up", "-f", "music.yaml", "--for", "1s"],
        vec!["audit", "-f", "music.yaml"],
        vec!["report", "-f", "music.yaml"],
        vec!["model", "-f", "music.yaml"],
        vec!["generate", "-f", "music.yaml"],
        vec!["dead-letters", "-f", "music.yaml", "list"],
        vec!["preflight", "-f", "music.yaml"],
    ] {
        let outcome = place.run(&arguments);
        assert_eq!(outcome.code, 2, "{arguments:?}: {outcome}");
        assert_eq!(
            outcome.stderr,
            "music.yaml: spec.topics[0].partitions: -1 is out of bounds; set a number from 1 to 10000\n"
        );
    }
    assert!(!place.database().exists());
}

#[test]
fn several_manifests_are_validated_together() {
    let place = Place::with(MUSIC);
    place.write("wrong.yaml", &MUSIC.replace("rate: 1000", "rate: -1"));
    let outcome = place.run(&["validate", "-f", "music.yaml", "wrong.yaml", "missing.yaml"]);
    assert_eq!(outcome.code, 2, "{outcome}");
    assert_eq!(
        outcome.stdout,
        "music.yaml: ok (1 topic, 1 reference, 3 tables, 2 models, 4 reports)\n"
    );
    assert!(
        outcome.stderr.contains("wrong.yaml: spec.generator.rate"),
        "{outcome}"
    );
    assert!(
        outcome
            .stderr
            .contains("error: cannot read the manifest missing.yaml\n  because: No such file"),
        "{outcome}"
    );
}

#[test]
fn a_plan_shows_everything_that_a_manifest_gives() {
    golden(
        "plan.txt",
        &Place::with(MUSIC).succeed(&["plan", "-f", "music.yaml"]).stdout,
    );
}

/// A sink that pods can have gives objects, with the names that the operator gives them.
#[test]
fn a_plan_names_the_objects_of_a_cluster() {
    let manifest = MUSIC.replace("{sqlite: {path: music.db}}", POSTGRES);
    let plan = Place::with(&manifest)
        .succeed(&["plan", "-f", "music.yaml"])
        .stdout;
    let (_, objects) = plan.split_once("objects in a cluster\n").unwrap();
    golden("objects.txt", objects);
}

/// The manifests that are shipped are right.
#[test]
fn shipped_manifests_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/pipelines");
    let mut arguments = vec!["validate".to_owned(), "-f".to_owned()];
    for entry in std::fs::read_dir(folder).unwrap() {
        arguments.push(entry.unwrap().path().to_str().unwrap().to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert!(arguments.len() > 2);
    Place::with(MUSIC).succeed(&arguments);
}

/// `make generate` writes them.
#[test]
fn generated_files_are_up_to_date() {
    let place = Place::with(MUSIC);
    for (arguments, file) in [
        (["crd"], "../deploy/crd/streampipelines.yaml"),
        (["help-markdown"], "../docs/cli.md"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        let current = place.succeed(&arguments).stdout;
        assert!(
            current == checked_in,
            "{file} is out of date: run `make generate`"
        );
    }
}

#[test]
fn events_are_the_same_for_the_same_seed() {
    let place = Place::with(MUSIC);
    let arguments = ["generate", "-f", "music.yaml", "--count", "500", "--unlimited"];
    let first = place.succeed(&arguments);
    assert_eq!(first.stdout.lines().count(), 500);
    assert!(first.stderr.starts_with("complete: 500 events in "), "{first}");
    assert_eq!(place.succeed(&arguments).stdout, first.stdout);
    let other = place.write("other.yaml", &MUSIC.replace("seed: 7", "seed: 8"));
    let other = place.succeed(&[
        "generate",
        "-f",
        other.to_str().unwrap(),
        "--count",
        "500",
        "--unlimited",
    ]);
    assert_ne!(other.stdout, first.stdout);
    place.succeed(&[
        "generate",
        "-f",
        "music.yaml",
        "--count",
        "500",
        "--unlimited",
        "--output",
        "file:events.jsonl",
    ]);
    assert_eq!(
        std::fs::read_to_string(place.path().join("events.jsonl")).unwrap(),
        first.stdout
    );
}

/// `streampipeline generate | head`: who has enough is not told of a failure.
#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let place = Place::with(MUSIC);
    let mut command = place.command(&["generate", "-f", "music.yaml", "--unlimited"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("{\"user_id\":"), "{line}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        !errors.contains("error") && !errors.contains("panicked"),
        "{errors}"
    );

    let mut command = place.command(&["help-markdown"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), b"".as_slice())
    );
}

#[test]
fn arguments_that_do_not_fit_are_refused_with_what_would_do() {
    let place = Place::with(MUSIC);
    for (arguments, expected) in [
        (
            vec!["up", "-f", "music.yaml", "--kafka", "redpanda"],
            "neither `manifest` nor HOST:PORT",
        ),
        (
            vec!["up", "-f", "music.yaml", "--for", "soon"],
            "invalid value 'soon'",
        ),
        (
            vec!["up", "-f", "music.yaml", "--kafka", "none"],
            "a pipeline needs brokers",
        ),
        (
            vec!["audit", "-f", "music.yaml", "--sink", "embedded"],
            "run `streampipeline up` first",
        ),
        (
            vec!["report", "-f", "music.yaml", "--sink", "postgres"],
            "neither `manifest`, `embedded` nor sqlite:PATH",
        ),
        (
            vec!["generate", "-f", "music.yaml", "--output", "nowhere"],
            "neither kafka, stdout, file:PATH nor none",
        ),
        (
            vec!["dead-letters", "-f", "music.yaml", "replay"],
            "--id <RECORD>...",
        ),
    ] {
        let outcome = place.run(&arguments);
        assert_eq!(outcome.code, 2, "{arguments:?}: {outcome}");
        assert!(outcome.stderr.contains(expected), "{arguments:?}: {outcome}");
    }
    let help = place.succeed(&["--help"]).stdout;
    assert!(
        help.contains("3    an audit found records that are missing, doubled or not stored"),
        "{help}"
    );
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            place
                .succeed(&["completions", shell])
                .stdout
                .contains("dead-letters"),
            "{shell}"
        );
    }
}
