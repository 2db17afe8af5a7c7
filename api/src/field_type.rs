//! The types of a topic's fields, written as text: `int`, `timestamp`, `array<map<string>>`,
//! `struct<name: string, age: int>`.

use std::fmt;

/// A named field of a record or of a `struct`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// The name in the JSON record, and the column's name in SQL.
    pub name: String,
    /// What the value is decoded to.
    pub data_type: FieldType,
}

/// The type that a JSON value is decoded to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// `true` or `false`.
    Boolean,
    /// 32-bit integer; a JSON string that holds one is accepted too.
    Int,
    /// 64-bit integer; a JSON string that holds one is accepted too.
    Long,
    /// 32-bit floating point number.
    Float,
    /// 64-bit floating point number.
    Double,
    /// Text. Any other JSON scalar is taken as it is written (`false` becomes `"false"`).
    String,
    /// An instant in UTC, microseconds.
    Timestamp(TimestampFormat),
    Array(Box<FieldType>),
    /// An object with any keys and values of one type.
    Map(Box<FieldType>),
    /// An object with known fields.
    Struct(Vec<Field>),
}

/// How an instant is written in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampFormat {
    /// `2026-01-31T12:00:00.5Z`, with or without zone (then UTC), `T` or a blank between date and time.
    Text,
    /// Milliseconds since 1970 (`timestamp(ms)`).
    Milliseconds,
    /// Seconds since 1970 (`timestamp(s)`).
    Seconds,
}

/// Why a type's text was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at character {position} of {text:?}")]
pub struct FieldTypeError {
    /// The whole text.
    pub text: String,
    /// Where in it, counted from 1.
    pub position: usize,
    pub problem: String,
}

impl FieldType {
    /// The scalar names, as an error message lists them.
    pub const NAMES: &'static str = "boolean, int, long, float, double, string, timestamp, timestamp(ms), timestamp(s), \
                                     array<T>, map<T>, struct<name: T, …>";

    /// Deepest nesting of `array`, `map` and `struct` that is accepted.
    pub const MAX_DEPTH: usize = 16;

    /// Parses the text of a type.
    ///
    /// # Errors
    /// [`FieldTypeError`] with the position of the first character that does not fit.
    pub fn parse(text: &str) -> Result<Self, FieldTypeError> {
        let mut parser = Parser { text, at: 0 };
        let parsed = parser.field_type(0)?;
        parser.skip_blanks();
        if parser.at < text.len() {
            Err(parser.error("unexpected text"))
        } else {
            Ok(parsed)
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Int => f.write_str("int"),
            Self::Long => f.write_str("long"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Timestamp(TimestampFormat::Text) => f.write_str("timestamp"),
            Self::Timestamp(TimestampFormat::Milliseconds) => f.write_str("timestamp(ms)"),
            Self::Timestamp(TimestampFormat::Seconds) => f.write_str("timestamp(s)"),
            Self::Array(item) => write!(f, "array<{item}>"),
            Self::Map(value) => write!(f, "map<{value}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (index, field) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", field.name, field.data_type)?;
                }
                f.write_str(">")
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn error(&self, problem: impl Into<String>) -> FieldTypeError {
        let position = self.text.get(..self.at).unwrap_or(self.text).chars().count() + 1;
        FieldTypeError {
            text: self.text.to_owned(),
            position,
            problem: problem.into(),
        }
    }

    fn word(&mut self) -> String {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or("").to_owned();
        self.at += end;
        word
    }

    /// Takes `symbol` if it comes next.
    fn take(&mut self, symbol: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len_utf8();
        }
        found
    }

    fn expect(&mut self, symbol: char) -> Result<(), FieldTypeError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.error(format!("expected '{symbol}'")))
        }
    }

    fn field_type(&mut self, depth: usize) -> Result<FieldType, FieldTypeError> {
        if depth > FieldType::MAX_DEPTH {
            return Err(self.error(format!("more than {} levels of nesting", FieldType::MAX_DEPTH)));
        }
        self.skip_blanks();
        let start = self.at;
        let word = self.word();
        Ok(match word.as_str() {
            "boolean" => FieldType::Boolean,
            "int" => FieldType::Int,
            "long" => FieldType::Long,
            "float" => FieldType::Float,
            "double" => FieldType::Double,
            "string" => FieldType::String,
            "timestamp" => FieldType::Timestamp(self.timestamp_format()?),
            "array" => FieldType::Array(Box::new(self.argument(depth)?)),
            "map" => FieldType::Map(Box::new(self.argument(depth)?)),
            "struct" => FieldType::Struct(self.struct_fields(depth)?),
            _ => {
                self.at = start;
                return Err(self.error(format!("expected one of {}", FieldType::NAMES)));
            }
        })
    }

    fn timestamp_format(&mut self) -> Result<TimestampFormat, FieldTypeError> {
        if !self.take('(') {
            return Ok(TimestampFormat::Text);
        }
        let start = self.at;
        let format = match self.word().as_str() {
            "ms" => TimestampFormat::Milliseconds,
            "s" => TimestampFormat::Seconds,
            _ => {
                self.at = start;
                return Err(self.error("expected ms or s"));
            }
        };
        self.expect(')')?;
        Ok(format)
    }

    fn argument(&mut self, depth: usize) -> Result<FieldType, FieldTypeError> {
        self.expect('<')?;
        let argument = self.field_type(depth + 1)?;
        self.expect('>')?;
        Ok(argument)
    }

    fn struct_fields(&mut self, depth: usize) -> Result<Vec<Field>, FieldTypeError> {
        self.expect('<')?;
        let mut fields: Vec<Field> = Vec::new();
        loop {
            let name = self.word();
            if name.is_empty() {
                return Err(self.error("expected a field's name"));
            }
            if fields.iter().any(|field| field.name == name) {
                return Err(self.error(format!("the field {name} is there twice")));
            }
            self.expect(':')?;
            fields.push(Field {
                name,
                data_type: self.field_type(depth + 1)?,
            });
            if !self.take(',') {
                break;
            }
        }
        self.expect('>')?;
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_reads_back_as_it_was_written() {
        for text in [
            "int",
            "timestamp(ms)",
            "array<map<string>>",
            "struct<name: string, tags: array<string>, at: timestamp(s)>",
        ] {
            assert_eq!(FieldType::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_position() {
        for (text, message) in [
            ("", "expected one of"),
            ("integer", "expected one of"),
            ("array<int", "expected '>' at character 10"),
            ("array<int>>", "unexpected text at character 11"),
            ("timestamp(us)", "expected ms or s at character 11"),
            ("struct<>", "expected a field's name at character 8"),
            ("struct<a: int, a: int>", "the field a is there twice"),
        ] {
            let error = FieldType::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
        assert!(
            FieldType::parse(&"array<".repeat(40))
                .unwrap_err()
                .problem
                .contains("levels of nesting")
        );
    }
}
