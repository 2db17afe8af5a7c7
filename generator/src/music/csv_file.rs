//! A catalogue from a CSV file with the data set's 20 columns, in any order, with or without the unnamed index
//! column that the data set is distributed with. An empty cell of a text column is an absent value.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::catalogue_row::{COLUMNS, CatalogueError, CatalogueRow};

pub(crate) fn read(path: &Path) -> Result<Vec<CatalogueRow>, CatalogueError> {
    let file = File::open(path).map_err(|source| CatalogueError::Open {
        path: path.to_owned(),
        source,
    })?;
    read_from(path, file)
}

fn read_from(path: &Path, input: impl Read) -> Result<Vec<CatalogueRow>, CatalogueError> {
    let mut reader = ReaderBuilder::new().from_reader(input);
    let header = reader.byte_headers().map_err(|error| broken(path, &error))?;
    let mut places = [0; COLUMNS.len()];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = header
            .iter()
            .position(|name| without_byte_order_mark(name) == column.as_bytes())
            .ok_or_else(|| CatalogueError::MissingColumn {
                path: path.to_owned(),
                column,
            })?;
    }
    let mut rows = Vec::new();
    let mut record = ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| broken(path, &error))?
    {
        let line = record.position().map_or(0, csv::Position::line);
        rows.push(
            Fields {
                path,
                line,
                record: &record,
                columns: COLUMNS.into_iter().zip(places),
            }
            .row()?,
        );
    }
    Ok(rows)
}

/// Spreadsheet programs put one before the first column's name.
fn without_byte_order_mark(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(name)
}

/// Takes the fields of a record one after the other, in the order of [`COLUMNS`].
struct Fields<'a, C> {
    path: &'a Path,
    line: u64,
    record: &'a ByteRecord,
    columns: C,
}

impl<C: Iterator<Item = (&'static str, usize)>> Fields<'_, C> {
    fn row(mut self) -> Result<CatalogueRow, CatalogueError> {
        Ok(CatalogueRow {
            track_id: self.text()?,
            artists: self.optional_text()?,
            album_name: self.optional_text()?,
            track_name: self.optional_text()?,
            popularity: self.whole()?,
            duration_ms: self.whole()?,
            explicit: self.boolean()?,
            danceability: self.number()?,
            energy: self.number()?,
            key: self.whole()?,
            loudness: self.number()?,
            mode: self.whole()?,
            speechiness: self.number()?,
            acousticness: self.number()?,
            instrumentalness: self.number()?,
            liveness: self.number()?,
            valence: self.number()?,
            tempo: self.number()?,
            time_signature: self.whole()?,
            track_genre: self.text()?,
        })
    }

    fn field<T>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, CatalogueError> {
        let (column, place) = self.columns.next().unwrap_or(("", usize::MAX));
        let bytes = self.record.get(place).unwrap_or_default();
        let refuse = |expected| CatalogueError::Value {
            path: self.path.to_owned(),
            line: self.line,
            column,
            value: String::from_utf8_lossy(bytes).into_owned(),
            expected,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| refuse("UTF-8 text"))?;
        parse(text).ok_or_else(|| refuse(expected))
    }

    fn text(&mut self) -> Result<String, CatalogueError> {
        self.field("UTF-8 text", |text| Some(text.to_owned()))
    }

    fn optional_text(&mut self) -> Result<Option<String>, CatalogueError> {
        self.text().map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    fn whole(&mut self) -> Result<i64, CatalogueError> {
        self.field("a whole number", |text| text.trim().parse().ok())
    }

    fn number(&mut self) -> Result<f64, CatalogueError> {
        self.field("a number", |text| {
            text.trim().parse().ok().filter(|number: &f64| number.is_finite())
        })
    }

    fn boolean(&mut self) -> Result<bool, CatalogueError> {
        self.field("true or false", |text| match text.trim() {
            "True" | "true" | "TRUE" => Some(true),
            "False" | "false" | "FALSE" => Some(false),
            _ => None,
        })
    }
}

fn broken(path: &Path, error: &csv::Error) -> CatalogueError {
    let problem = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("has {len} fields, the header has {expected_len}")
        }
        kind => format!("{kind:?}"),
    };
    CatalogueError::Line {
        path: path.to_owned(),
        line: error.position().map_or(1, csv::Position::line),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "track_id,artists,album_name,track_name,popularity,duration_ms,explicit,danceability,energy,\
        key,loudness,mode,speechiness,acousticness,instrumentalness,liveness,valence,tempo,time_signature,track_genre";
    const ROW: &str = "5SuOikwiRyPMVoIQDJUgSV,A;B,Album,Song,73,230666,False,0.676,0.461,1,-6.746,0,0.143,0.0322,1.01e-06,0.358,0.715,87.917,4,acoustic";

    fn parse(text: &[u8]) -> Result<Vec<CatalogueRow>, String> {
        read_from(Path::new("tracks.csv"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_with_and_without_the_index_column() {
        let plain = parse(format!("{HEADER}\n{ROW}\n").as_bytes()).unwrap();
        let indexed = parse(format!("\u{feff},{HEADER}\r\n0,{ROW}\r\n").as_bytes()).unwrap();
        assert_eq!(plain, indexed);
        assert_eq!(plain[0].artists.as_deref(), Some("A;B"));
        assert_eq!(plain[0].popularity, 73);
        assert!((plain[0].instrumentalness - 1.01e-6).abs() < 1e-12);
        assert_eq!(plain[0].track_genre, "acoustic");
    }

    #[test]
    fn reads_columns_in_any_order() {
        let reversed = |line: &str| line.split(',').rev().collect::<Vec<_>>().join(",");
        let rows = parse(format!("{}\n{}\n", reversed(HEADER), reversed(ROW)).as_bytes()).unwrap();
        assert_eq!(rows, parse(format!("{HEADER}\n{ROW}\n").as_bytes()).unwrap());
    }

    #[test]
    fn quoted_fields_hold_commas_quotes_and_newlines() {
        let row = ROW.replace(",Album,Song,", ",\"One, \"\"Two\"\"\nThree\",\"Song\",");
        let rows = parse(format!("{HEADER}\n{row}\n{ROW}\n").as_bytes()).unwrap();
        assert_eq!(rows[0].album_name.as_deref(), Some("One, \"Two\"\nThree"));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn empty_names_are_absent() {
        let rows =
            parse(format!("{HEADER}\n{}\n", ROW.replace(",A;B,Album,Song,", ",,,,")).as_bytes()).unwrap();
        assert_eq!(
            (&rows[0].artists, &rows[0].album_name, &rows[0].track_name),
            (&None, &None, &None)
        );
    }

    #[test]
    fn problems_are_located() {
        let good = format!("{HEADER}\n{ROW}\n");
        let cases: [(Vec<u8>, &str); 6] = [
            (
                good.replace("popularity", "fame").into_bytes(),
                "catalogue tracks.csv: the header has no column popularity; it must have the 20 columns track_id,",
            ),
            (
                format!("{good}{}\n", ROW.replace(",73,", ",very,")).into_bytes(),
                "catalogue tracks.csv, line 3, column popularity: \"very\" is not a whole number",
            ),
            (
                format!("{good}{}\n", ROW.replace(",0.461,", ",NaN,")).into_bytes(),
                "catalogue tracks.csv, line 3, column energy: \"NaN\" is not a number",
            ),
            (
                format!("{good}{}\n", ROW.replace("False", "no")).into_bytes(),
                "catalogue tracks.csv, line 3, column explicit: \"no\" is not true or false",
            ),
            (
                format!("{good}{ROW},more\n").into_bytes(),
                "catalogue tracks.csv, line 3: has 21 fields, the header has 20",
            ),
            (
                [
                    good.as_bytes(),
                    ROW.replace("Song", "S_ng").replace('_', "\u{1}").as_bytes(),
                ]
                .concat()
                .into_iter()
                .map(|byte| if byte == 1 { 0xFF } else { byte })
                .collect(),
                "catalogue tracks.csv, line 3, column track_name: \"S\u{fffd}ng\" is not UTF-8 text",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn an_absent_file_is_named() {
        let error = read(Path::new("nowhere/tracks.csv")).unwrap_err().to_string();
        assert_eq!(error, "catalogue nowhere/tracks.csv cannot be opened");
    }
}
