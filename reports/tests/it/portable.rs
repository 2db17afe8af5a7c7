//! What is portable gives the same answer in every store, to the last digit.

use reports::parameter::Given;
use sinks::answer::Value;

use crate::stores::{Stores, report};
use api::{Parameter, ParameterType};

/// Queries whose rows are in one order.
const QUERIES: &[&str] = &[
    // Columns, conditions, order.
    "SELECT id, genre, user_id, at, played, share, level, liked, day, price FROM plays ORDER BY id",
    "SELECT id FROM plays WHERE genre = 'pop' AND NOT liked ORDER BY id DESC",
    "SELECT genre, id FROM plays ORDER BY genre, id LIMIT 30",
    "SELECT genre, id FROM plays ORDER BY genre DESC, id LIMIT 30 OFFSET 10",
    "SELECT id FROM plays ORDER BY share NULLS FIRST, id OFFSET 150",
    "SELECT id FROM plays WHERE played > 100 OR user_id IS NULL ORDER BY id",
    "SELECT id FROM plays WHERE genre > 'J' AND genre <= 'pop' ORDER BY genre, id",
    "SELECT id FROM plays WHERE genre BETWEEN 'J' AND 'k' ORDER BY id",
    "SELECT id FROM plays WHERE user_id IN (1, 2, 3) AND genre NOT IN ('pop', 'Jazz') ORDER BY id",
    "SELECT id FROM plays WHERE liked IS DISTINCT FROM true AND genre IS NOT DISTINCT FROM NULL ORDER BY id",
    "SELECT id, liked IS TRUE AS a, liked IS NOT FALSE AS b, liked IS UNKNOWN AS c FROM plays ORDER BY id LIMIT 20",
    "SELECT DISTINCT genre, liked FROM plays ORDER BY genre, liked",
    // Text.
    "SELECT id FROM plays WHERE genre LIKE 'p%' ORDER BY id",
    "SELECT id FROM plays WHERE genre NOT LIKE '%o_' ORDER BY id",
    "SELECT id FROM plays WHERE genre LIKE '%[x]*?' ORDER BY id",
    "SELECT id, lower(genre) AS low, upper(genre) AS up, length(genre) AS n FROM plays ORDER BY id LIMIT 20",
    "SELECT id, trim(genre) AS a, ltrim(genre) AS b, rtrim(genre) AS c FROM plays ORDER BY id LIMIT 20",
    "SELECT id, substr(genre, 2) AS a, substr(genre, 1, 2) AS b, substr(genre, 3, 0) AS c FROM plays ORDER BY id LIMIT 20",
    "SELECT id, genre || '!' AS a, concat(genre, '-', genre) AS b, replace(genre, 'p', 'PP') AS c FROM plays ORDER BY id LIMIT 20",
    "SELECT id, starts_with(genre, 'p') AS a, strpos(genre, 'p') AS b FROM plays ORDER BY id LIMIT 20",
    "SELECT 'it''s' AS a, '\\' AS b, ':from' AS c, '--' AS d, '한' AS e",
    // Numbers.
    "SELECT id, played + user_id AS a, played - 1 AS b, user_id * 2000000000 AS c FROM plays ORDER BY id",
    "SELECT id, played / 7 AS a, played % 7 AS b, played / user_id AS c, -played AS d FROM plays ORDER BY id",
    "SELECT id, share * 2 AS a, share / 3 AS b, share / (user_id - 1) AS c, level + 0.5 AS d FROM plays ORDER BY id",
    "SELECT id, abs(played) AS a, round(share) AS b, round(share / 3, 2) AS c, floor(share) AS d, ceil(share) AS e FROM plays ORDER BY id",
    "SELECT id, CAST(share AS bigint) AS a, CAST(played AS double) AS b, CAST(played AS varchar) AS c, CAST(liked AS int) AS d FROM plays ORDER BY id",
    "SELECT id, price + price AS a, price * 2 AS b, price > 1 AS c, CAST(price AS double) AS d FROM plays ORDER BY id",
    "SELECT id, coalesce(user_id, -1) AS a, nullif(genre, 'pop') AS b FROM plays ORDER BY id",
    "SELECT id, CASE WHEN share < 0 THEN 'low' WHEN share < 10 THEN 'middle' ELSE 'high' END AS a, CASE genre WHEN 'pop' THEN 1 WHEN 'Jazz' THEN 2 END AS b FROM plays ORDER BY id",
    // Time.
    "SELECT id FROM plays WHERE at >= :from AND at < :to ORDER BY id",
    "SELECT id FROM plays WHERE at >= '2026-01-05' AND at < TIMESTAMP '2026-01-20 12:30:00' ORDER BY id",
    "SELECT id FROM plays WHERE day >= '2026-01-05' AND day < DATE '2026-01-20' ORDER BY id",
    "SELECT id, date_trunc('second', at) AS a, date_trunc('minute', at) AS b, date_trunc('hour', at) AS c, date_trunc('day', at) AS d FROM plays ORDER BY id",
    "SELECT id, date_trunc('week', at) AS a, date_trunc('month', at) AS b, date_trunc('quarter', at) AS c, date_trunc('year', at) AS d FROM plays ORDER BY id",
    "SELECT id, date_trunc('quarter', at + INTERVAL '2 months') AS a, date_trunc('quarter', at + INTERVAL '5 months') AS b, date_trunc('quarter', at + INTERVAL '7 months') AS c, date_part('quarter', at + INTERVAL '9 months') AS d FROM plays ORDER BY id",
    "SELECT id, share / nullif(floor(share), 3) AS a, share / ceil(share / 100) AS b FROM plays ORDER BY id",
    "SELECT id, date_trunc('week', day) AS a, date_part('dow', day) AS b, date_part('epoch', day) AS c FROM plays ORDER BY id",
    "SELECT id, date_part('second', at) AS a, date_part('minute', at) AS b, extract(hour FROM at) AS c, extract(day FROM at) AS d FROM plays ORDER BY id",
    "SELECT id, date_part('dow', at) AS a, date_part('doy', at) AS b, date_part('week', at) AS c, date_part('month', at) AS d, date_part('quarter', at) AS e, date_part('year', at) AS f FROM plays ORDER BY id",
    "SELECT id, date_part('epoch', at) AS a, date_part('epoch', :to) - date_part('epoch', at) AS b FROM plays ORDER BY id",
    "SELECT id, at + INTERVAL '1 hour' AS a, at - INTERVAL '1 month' AS b, at + INTERVAL '2 days 3 seconds' AS c FROM plays ORDER BY id",
    "SELECT id, day + INTERVAL '1 month' AS a, day - INTERVAL '10 days' AS b, CAST(at AS date) AS c, CAST(day AS timestamp) AS d, CAST(day AS varchar) AS e FROM plays ORDER BY id",
    "SELECT now() AS a, current_timestamp AS b, date_trunc('day', now()) AS c, CAST(now() AS date) AS d",
    "SELECT id FROM plays WHERE at > now() - INTERVAL '10 days' ORDER BY id",
    // Groups.
    "SELECT count(*) AS a, count(genre) AS b, count(DISTINCT genre) AS c FROM plays",
    "SELECT sum(played) AS a, sum(user_id) AS b, sum(price) AS c, avg(user_id) AS d, min(at) AS e, max(day) AS f FROM plays",
    "SELECT sum(played) AS a, count(*) AS b, max(genre) AS c FROM plays WHERE id < 0",
    "SELECT genre, count(*) AS plays, min(genre) AS a, max(share) AS b FROM plays GROUP BY genre ORDER BY plays DESC, genre",
    "SELECT date_trunc('day', at) AS day, count(*) FILTER (WHERE liked) AS likes FROM plays GROUP BY 1 ORDER BY 1",
    "SELECT genre, sum(played) / count(*) AS a FROM plays GROUP BY genre HAVING count(*) > 5 AND genre <> 'pop' ORDER BY genre",
    "SELECT user_id % 3 AS third, bool_and(liked) AS a, bool_or(liked) AS b FROM plays GROUP BY user_id % 3 ORDER BY third",
    "SELECT 'all' AS what, genre, count(*) AS n FROM plays GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT 'all' AS what, count(*) AS n FROM plays WHERE id < 0 GROUP BY 1",
    "SELECT lower(genre) AS g, count(*) FROM plays GROUP BY lower(genre) ORDER BY count(*) DESC, lower(genre)",
    "SELECT count(*) FROM (SELECT DISTINCT user_id FROM plays) AS u",
    "SELECT avg(n) AS a FROM (SELECT user_id, count(*) AS n FROM plays GROUP BY user_id) AS counted",
    // Joins, sets, subqueries.
    "SELECT u.country, count(*) AS n FROM plays p JOIN users u ON u.user_id = p.user_id GROUP BY u.country ORDER BY u.country",
    "SELECT p.id, u.country FROM plays p LEFT JOIN users u ON u.user_id = p.user_id AND u.country <> 'NL' ORDER BY p.id",
    "SELECT u.user_id, p.id FROM plays p RIGHT JOIN users u ON u.user_id = p.user_id AND p.liked ORDER BY u.user_id, p.id",
    "SELECT p.id, u.user_id FROM (SELECT * FROM plays WHERE id < 20) p FULL JOIN (SELECT user_id FROM users) u ON u.user_id = p.user_id ORDER BY p.id, u.user_id",
    "SELECT a.user_id, b.country FROM users a CROSS JOIN users b ORDER BY a.user_id, b.user_id",
    "SELECT user_id, country, count(*) AS n FROM plays JOIN users USING (user_id) GROUP BY user_id, country ORDER BY user_id",
    "SELECT p.id, l.n FROM plays p LEFT JOIN (SELECT user_id, count(*) AS n FROM plays WHERE liked GROUP BY user_id) l ON l.user_id = p.user_id ORDER BY p.id",
    "SELECT p.id, c.what FROM plays p LEFT JOIN (SELECT user_id, 'known' AS what FROM users WHERE user_id < 3) c ON c.user_id = p.user_id ORDER BY p.id",
    "SELECT a.id, c.country FROM plays a JOIN (plays b JOIN users c ON c.user_id = b.user_id) ON b.id = a.id ORDER BY a.id",
    "SELECT 'plays' AS what, count(*) AS n FROM plays UNION ALL SELECT 'users' AS what, count(*) AS n FROM users ORDER BY what",
    "SELECT user_id FROM plays UNION SELECT user_id + 5 FROM users ORDER BY user_id",
    "SELECT * FROM (SELECT id FROM plays ORDER BY id DESC LIMIT 3) AS a UNION ALL SELECT * FROM (SELECT id FROM plays ORDER BY id LIMIT 2) AS b ORDER BY id",
    "SELECT id FROM plays WHERE user_id IN (SELECT user_id FROM users WHERE country = 'KR') ORDER BY id",
    "SELECT country FROM users u WHERE EXISTS (SELECT 1 FROM plays p WHERE p.user_id = u.user_id AND p.liked) ORDER BY u.user_id",
    "SELECT user_id FROM users u WHERE NOT EXISTS (SELECT 1 FROM plays p WHERE p.user_id = u.user_id AND p.share > 15) ORDER BY user_id",
    "SELECT id FROM plays WHERE played > (SELECT avg(played) FROM plays) ORDER BY id",
    "SELECT user_id, (SELECT count(*) FROM plays p WHERE p.user_id = u.user_id) AS n FROM users u ORDER BY user_id",
    "WITH likes AS (SELECT user_id, count(*) AS n FROM plays WHERE liked GROUP BY user_id), top AS (SELECT * FROM likes ORDER BY n DESC, user_id LIMIT 3) SELECT t.user_id, t.n, u.country FROM top t LEFT JOIN users u ON u.user_id = t.user_id ORDER BY t.n DESC, t.user_id",
    // Windows.
    "SELECT id, row_number() OVER (PARTITION BY genre ORDER BY share DESC, id) AS a, rank() OVER (ORDER BY genre) AS b, dense_rank() OVER (ORDER BY genre DESC) AS c FROM plays ORDER BY id",
    "SELECT id, sum(played) OVER (PARTITION BY user_id ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS a, count(*) OVER () AS b, avg(user_id) OVER (ORDER BY id) AS c FROM plays ORDER BY id",
    "SELECT id, lag(played) OVER (ORDER BY id) AS a, lead(played, 2) OVER (ORDER BY id) AS b, first_value(id) OVER (PARTITION BY liked ORDER BY id) AS c FROM plays ORDER BY id",
    "SELECT genre, id FROM (SELECT genre, id, row_number() OVER (PARTITION BY genre ORDER BY played DESC, id) AS place FROM plays) AS placed WHERE place <= 2 ORDER BY genre, id",
    "SELECT id, sum(place) OVER (ORDER BY id) AS a FROM (SELECT id, row_number() OVER (ORDER BY share, id) AS place FROM plays) AS placed ORDER BY id",
    "SELECT genre, count(*) AS n, sum(count(*)) OVER (ORDER BY genre) AS running FROM plays GROUP BY genre ORDER BY genre",
    // Names.
    "SELECT id AS \"it's :to\", id AS \"a \"\"b\"\"\" FROM plays ORDER BY id LIMIT 1",
    "SELECT a.id, b.id FROM plays a JOIN plays b ON a.id = b.id ORDER BY a.id LIMIT 3",
    "SELECT p.* FROM users u JOIN plays p ON p.user_id = u.user_id ORDER BY p.id LIMIT 5",
];

#[tokio::test]
async fn every_store_gives_the_same_typed_answer() {
    let stores = Stores::new().await;
    let mut wrong = Vec::new();
    let mut rows = 0;
    for sql in QUERIES {
        match stores.ask(&report(sql), &Given::new()).await {
            Err(error) => wrong.push(format!("{sql}\n  {error}")),
            Ok([postgres, sqlite, engine]) => {
                rows += postgres.rows.len();
                for (name, other) in [("SQLite", &sqlite), ("DataFusion", &engine)] {
                    if postgres.columns != other.columns {
                        wrong.push(format!(
                            "{sql}\n  columns: {:?}\n  {name}: {:?}",
                            postgres.columns, other.columns
                        ));
                    }
                    let differs = postgres
                        .rows
                        .iter()
                        .zip(&other.rows)
                        .find(|(one, other)| one != other);
                    if let Some((one, other)) = differs {
                        wrong.push(format!("{sql}\n  PostgreSQL: {one:?}\n  {name}: {other:?}"));
                    } else if postgres.rows.len() != other.rows.len() {
                        wrong.push(format!(
                            "{sql}\n  {} rows\n  {name}: {}",
                            postgres.rows.len(),
                            other.rows.len()
                        ));
                    }
                }
            }
        }
    }
    assert!(rows > 20 * QUERIES.len(), "{rows} rows prove little");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Values reach every store bound, as what their types say.
#[tokio::test]
async fn parameters_are_the_same_values_in_every_store() {
    let stores = Stores::new().await;
    let parameters = [
        ("a", ParameterType::String, "it's :b; --"),
        ("b", ParameterType::Int, "-7"),
        ("c", ParameterType::Long, "9000000000"),
        ("d", ParameterType::Double, "0.1"),
        ("e", ParameterType::Decimal, "3.25"),
        ("f", ParameterType::Boolean, "true"),
        ("g", ParameterType::Date, "2026-01-15"),
        ("h", ParameterType::Timestamp, "2026-01-15T06:00:00.5Z"),
        ("most", ParameterType::Int, "5"),
    ];
    let sql = "SELECT id, :a AS a, :b AS b, :c AS c, :d AS d, :f AS f, :g AS g, :h AS h, :b + id AS i, \
               :a || genre AS j, :h + INTERVAL '1 day' AS k, date_trunc('hour', :h) AS l, price > :e AS m, \
               CASE WHEN liked = :f THEN :d ELSE share END AS n \
               FROM plays WHERE day < :g AND at < :h AND share > :d - 10 ORDER BY id LIMIT :most";
    let mut report = report(sql);
    report.parameters = parameters
        .iter()
        .map(|(name, parameter_type, value)| Parameter {
            name: (*name).to_owned(),
            title: (*name).to_owned(),
            parameter_type: *parameter_type,
            default: Some((*value).to_owned()),
            choices: None,
        })
        .collect();
    let [postgres, sqlite, engine] = stores.ask(&report, &Given::new()).await.unwrap();
    assert_eq!(postgres.rows.len(), 5);
    assert_eq!(postgres.rows[0][1], Value::Text("it's :b; --".to_owned()));
    for other in [sqlite, engine] {
        assert_eq!((&postgres.columns, &postgres.rows), (&other.columns, &other.rows));
    }
    // A group by a parameter, and a value that is given.
    let mut grouped = report;
    grouped.sql = Some(
        "SELECT date_trunc('day', at) AS day, at > :h AS late, count(*) AS n FROM plays GROUP BY 1, at > :h \
         HAVING count(*) >= :most ORDER BY 1, 2"
            .to_owned(),
    );
    let given = Given::from([("most".to_owned(), "3".to_owned())]);
    let [postgres, sqlite, engine] = stores.ask(&grouped, &given).await.unwrap();
    assert!(!postgres.rows.is_empty());
    assert_eq!((&postgres.rows, &postgres.rows), (&sqlite.rows, &engine.rows));
}
