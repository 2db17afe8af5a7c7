//! A whole pipeline in one process: nothing has to be there.

use std::time::Duration;

use crate::support::{MUSIC, Place, golden};
use testbed::Process;

#[tokio::test]
async fn a_timed_run_stores_everything_and_says_so() {
    let place = Place::with(MUSIC);
    let outcome = place.succeed(&["up", "-f", "music.yaml", "--for", "5s", "--rate", "2000"]);
    let produced = outcome.audited("produced");
    // The rate is held to a percent on an idle machine; a busy one must at least come close.
    assert!((5_000..=10_100).contains(&produced), "{outcome}");
    assert_eq!(outcome.audited("stored"), produced, "{outcome}");
    for nothing in ["dead letters", "unread", "missing", "doubled"] {
        assert_eq!(outcome.audited(nothing), 0, "{outcome}");
    }
    let rows = place
        .ask("SELECT (SELECT count(*) FROM plays) + (SELECT count(*) FROM likes)")
        .await;
    assert_eq!(rows as u64, produced);
    let merged = place.ask("SELECT sum(plays) FROM plays_by_genre_hour").await;
    assert_eq!(merged, place.ask("SELECT count(*) FROM plays").await);
    assert!(outcome.stdout.contains("Top genres\n"), "{outcome}");
    assert!(
        outcome
            .stdout
            .contains("ask again: streampipeline report -f music.yaml --sink embedded\n"),
        "{outcome}"
    );

    // Its models have run over all of it, and can be run again.
    assert!(outcome.stdout.contains("model recommendations: "), "{outcome}");
    let likes = place.ask("SELECT sum(likes) FROM track_likes").await;
    assert_eq!(likes, place.ask("SELECT count(*) FROM likes").await);
    let users = place
        .ask("SELECT count(DISTINCT user_id) FROM recommendations")
        .await;
    assert!(users > 400, "{users} of 500 are recommended something");
    let known = "SELECT count(*) FROM recommendations r JOIN plays p ON p.user_id = r.user_id AND p.track_id = r.track_id";
    assert_eq!(place.ask(known).await, 0);
    let model = ["model", "-f", "music.yaml", "--sink", "embedded", "track_likes"];
    assert!(place.succeed(&model).stdout.starts_with("model track_likes: "));
    let unknown = place.run(&["model", "-f", "music.yaml", "--sink", "embedded", "loved"]);
    assert_eq!(
        (unknown.code, unknown.stderr.as_str()),
        (
            2,
            "error: there is no model loved; name one of track_likes, recommendations\n"
        ),
        "{unknown}"
    );

    // The broker is gone; the sink still tells.
    let audit = place.succeed(&["audit", "-f", "music.yaml", "--sink", "embedded"]);
    assert!(audit.stdout.contains("only the sink was looked at"), "{audit}");
    assert_eq!(audit.audited("stored"), produced);
    let letters = place.succeed(&["dead-letters", "-f", "music.yaml", "--sink", "embedded", "list"]);
    assert_eq!(letters.stdout, "no dead letters\n");
}

/// The same seed and count give the same rows, so the reports are known to the letter.
#[tokio::test]
async fn a_counted_run_ends_by_itself_and_its_reports_are_always_the_same() {
    let place = Place::with(MUSIC);
    let up = [
        "up",
        "-f",
        "music.yaml",
        "--count",
        "5000",
        "--rate",
        "20000",
        "--workers",
        "2",
    ];
    let outcome = place.succeed(&up);
    assert_eq!(
        outcome.audit(),
        "audit: produced 5000, stored 5000, dead letters 0, unread 0, missing 0, doubled 0"
    );
    let report = place
        .succeed(&["report", "-f", "music.yaml", "--sink", "embedded"])
        .stdout;
    golden("report.txt", &report);
    assert!(outcome.stdout.contains(&report), "{outcome}");
    let csv = [
        "report",
        "-f",
        "music.yaml",
        "--sink",
        "embedded",
        "genres",
        "--csv",
        "--from",
        "2026-01-01T12:00",
    ];
    golden("genres.csv", &place.succeed(&csv).stdout);

    asks_with_parameters(&place);

    // Another run begins anew, and says so.
    let again = place.succeed(&["up", "-f", "music.yaml", "--count", "100", "--rate", "20000"]);
    assert!(
        again.stdout.contains("(begun anew, as the embedded Kafka is)"),
        "{again}"
    );
    assert_eq!(again.audited("stored"), 100);
    assert_eq!(
        place.ask("SELECT count(*) FROM plays").await + place.ask("SELECT count(*) FROM likes").await,
        100
    );
}

/// Everything but a database, in merge tables and with references too; what keeps no rows is asked nothing.
#[tokio::test]
async fn a_run_into_nothing_is_audited_and_leaves_nothing() {
    let (before, rest) = MUSIC.split_once("  models:\n").unwrap();
    let (_, sink) = rest.split_once("  sink: ").unwrap();
    let after = sink.split_once('\n').map_or("", |(_, after)| after);
    let place = Place::with(&format!("{before}  sink: {{discard: {{}}}}\n{after}"));
    assert!(
        place
            .succeed(&["validate", "-f", "music.yaml"])
            .stdout
            .contains("music.yaml")
    );
    let plan = place.succeed(&["plan", "-f", "music.yaml"]).stdout;
    assert!(
        plan.contains("sink     none: rows are discarded") && plan.contains("timestamp"),
        "{plan}"
    );
    let up = [
        "up",
        "-f",
        "music.yaml",
        "--sink",
        "manifest",
        "--count",
        "5000",
        "--rate",
        "20000",
    ];
    let outcome = place.succeed(&[up.as_slice(), &["--workers", "2"]].concat());
    assert_eq!(
        outcome.audit(),
        "audit: produced 5000, stored 5000, dead letters 0, unread 0, missing 0, doubled 0"
    );
    assert!(!place.database().exists());
    for command in [
        vec!["audit", "-f", "music.yaml"],
        vec!["report", "-f", "music.yaml"],
        vec!["dead-letters", "-f", "music.yaml", "list"],
    ] {
        let asked = place.run(&command);
        assert_eq!(asked.code, 2, "{asked}");
        assert!(
            asked.stderr.contains("spec.sink.discard keeps nothing"),
            "{asked}"
        );
    }
}

/// The embedded broker drops what does not fit, silently: the generator must never get that far.
#[tokio::test]
async fn a_generator_that_is_too_fast_is_held_back_and_loses_nothing() {
    let place = Place::with(MUSIC);
    let outcome = place.succeed(&["up", "-f", "music.yaml", "--count", "200000", "--rate", "1000000"]);
    assert!(outcome.stdout.contains("generator: held back for"), "{outcome}");
    assert_eq!(
        outcome.audit(),
        "audit: produced 200000, stored 200000, dead letters 0, unread 0, missing 0, doubled 0"
    );
}

#[tokio::test]
async fn ctrl_c_ends_a_run_in_order() {
    let place = Place::with(MUSIC);
    let mut process = Process::from_command(place.command(&["up", "-f", "music.yaml"])).unwrap();
    let line = process
        .wait_for_line("out ", Duration::from_mins(1))
        .await
        .unwrap();
    assert!(line.contains("missing 0, doubled 0"), "{line}");
    process.interrupt().unwrap();
    let status = process.wait(Duration::from_mins(1)).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", process.output().unwrap());
    let output = process.stdout().unwrap();
    assert!(output.contains("unread 0, missing 0, doubled 0"), "{output}");
}

#[test]
fn a_file_that_is_not_ours_is_not_replaced() {
    let place = Place::with(MUSIC);
    let file = place.write(".streampipeline/music.db", "dear diary");
    let outcome = place.run(&["up", "-f", "music.yaml", "--for", "1s"]);
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("is not a file of an earlier run, so it is not replaced"),
        "{outcome}"
    );
    assert_eq!(std::fs::read_to_string(file).unwrap(), "dear diary");
}

/// Reports with parameters, and one that is broken, over the rows of a run.
fn asks_with_parameters(place: &Place) {
    let reports = "  reports:
    - name: of_genre
      parameters:
        - {name: genre, type: string, default: jazz, title: Genre, choices: {query: SELECT DISTINCT genre FROM tracks ORDER BY genre}}
        - {name: least, type: int, default: \"0\"}
      sql: >-
        SELECT genre, sum(plays) AS plays FROM plays_by_genre_hour
        WHERE genre = :genre GROUP BY genre HAVING sum(plays) >= :least
    - {name: broken, title: Broken, native: {sqlite: SELECT plays FROM nowhere}}
    - {name: old, title: Old, sql: SELECT hex(genre) AS h FROM plays_by_genre_hour ORDER BY 1 LIMIT 1}
";
    place.write("asked.yaml", &MUSIC.replacen("  reports:\n", reports, 1));
    let ask = |more: &[&str]| {
        let mut arguments = vec!["report", "-f", "asked.yaml", "--sink", "embedded"];
        arguments.extend(more);
        place.run(&arguments)
    };
    let csv = ask(&[
        "of_genre",
        "--csv",
        "--param",
        "genre=country",
        "--param",
        "least=100",
    ]);
    assert_eq!(
        (csv.code, csv.stdout.as_str()),
        (0, "genre,plays\ncountry,271\n"),
        "{csv}"
    );
    let default = ask(&["of_genre", "--csv"]);
    assert_eq!(default.stdout, "genre,plays\njazz,260\n", "{default}");
    let none = ask(&["of_genre", "--csv", "--param", "least=1000"]);
    assert_eq!(none.stdout, "genre,plays\n", "{none}");

    for (more, expected) in [
        (
            ["of_genre", "--param", "gnre=jazz"],
            "error: there is no parameter gnre; name one of genre, least\n",
        ),
        (
            ["of_genre", "--param", "least=many"],
            "error: report of_genre: the parameter least: \"many\" is no int; write a whole number\n",
        ),
        (
            ["of_genre", "--param", "genre=' OR 1 = 1 --"],
            "error: report of_genre: the parameter genre: \"' OR 1 = 1 --\" is not among its choices; take one of ",
        ),
        (
            ["of_genre", "--param", "genre"],
            "error: invalid value 'genre' for '--param <NAME=VALUE>'",
        ),
    ] {
        let outcome = ask(&more);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome}");
        assert!(outcome.stderr.starts_with(expected), "{outcome}");
    }

    let listed = ask(&["of_genre", "--params"]).stdout;
    assert!(
        listed.starts_with("of_genre\n  genre: Genre, string, default jazz\n    one of ")
            && listed.ends_with("\n  least: int, default 0\n"),
        "{listed}"
    );

    // A broken report stands in its place, and the others are answered.
    let all = ask(&["of_genre", "broken", "old"]);
    assert_eq!(all.code, 1, "{all}");
    assert!(
        all.stdout
            .contains("  jazz     260\n\nBroken\n  no answer: asking a question: "),
        "{all}"
    );
    assert!(all.stdout.contains("\nOld\n  h"), "{all}");
    assert!(
        all.stderr.contains("error: report broken: asking a question: "),
        "{all}"
    );
    assert!(all.stderr.contains("the function hex is not portable"), "{all}");
}
