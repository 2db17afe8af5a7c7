//! `:name` parameters of a report's SQL, replaced by the database's own placeholders. A model's SQL has none.

use crate::answer::Value;

/// Why a statement's parameters could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterError {
    /// There is no such parameter.
    #[error("there is no parameter :{name}; use {known}")]
    Unknown {
        /// The name in the SQL.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// There are none at all.
    #[error(
        "there is no parameter :{0}; a model has none: it is about all that is stored, or about what now() tells"
    )]
    None(String),
    /// More than one statement.
    #[error("a question is one statement: nothing may follow the ';'")]
    SecondStatement,
}

/// A statement with the values that it is run with.
pub(crate) struct Bound<'a> {
    pub(crate) sql: String,
    /// Those that it names, by the numbers of their placeholders.
    pub(crate) values: Vec<&'a Value>,
}

/// `sql` with a placeholder for each `:name`, which `placeholder` writes by its number (from 1) and value.
pub(crate) fn bind<'a>(
    sql: &str,
    parameters: &'a [(&str, Value)],
    placeholder: impl Fn(usize, &Value) -> String,
) -> Result<Bound<'a>, ParameterError> {
    let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
    let mut used: Vec<usize> = Vec::new();
    let sql = fill(sql, &names, |index| {
        let number = used.iter().position(|known| *known == index).unwrap_or_else(|| {
            used.push(index);
            used.len() - 1
        });
        let value = parameters.get(index).map_or(&Value::Null, |(_, value)| value);
        placeholder(number + 1, value)
    })?;
    let values = used.iter().filter_map(|index| parameters.get(*index));
    Ok(Bound {
        sql,
        values: values.map(|(_, value)| value).collect(),
    })
}

/// `sql` with each `:name` replaced by what `write` gives for its index in `names`, without a `;` at its end. String
/// literals, quoted names, comments, `::casts` and array slices are left alone.
fn fill(sql: &str, names: &[&str], mut write: impl FnMut(usize) -> String) -> Result<String, ParameterError> {
    let mut filled = String::with_capacity(sql.len() + 64);
    let mut rest = sql;
    let mut brackets = 0_usize;
    // The character before `rest`, which tells E'…' from a word that ends in e.
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => quoted(rest, '\'', is_escape_string(&filled, before)),
            '"' => quoted(rest, '"', false),
            '$' => dollar_quoted(rest).unwrap_or(1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            ';' => {
                if !is_blank(rest.get(1..).unwrap_or("")) {
                    return Err(ParameterError::SecondStatement);
                }
                break;
            }
            ':' if rest.starts_with("::") => 2,
            ':' => {
                let name = word(rest.get(1..).unwrap_or(""));
                match names.iter().position(|known| *known == name) {
                    Some(index) => {
                        filled.push_str(&write(index));
                        rest = rest.get(1 + name.len()..).unwrap_or("");
                        before = ' ';
                        continue;
                    }
                    // Within brackets it may be the bound of an array slice.
                    None if name.is_empty() || brackets > 0 => 1,
                    None => {
                        return Err(ParameterError::Unknown {
                            name: name.to_owned(),
                            known: super::join(names, " and ", |name| format!(":{name}")),
                        });
                    }
                }
            }
            other => {
                match other {
                    '[' => brackets += 1,
                    ']' => brackets = brackets.saturating_sub(1),
                    _ => {}
                }
                other.len_utf8()
            }
        };
        let (taken, left) = rest.split_at(length);
        filled.push_str(taken);
        before = taken.chars().next_back().unwrap_or(' ');
        rest = left;
    }
    Ok(filled)
}

/// A model's query, without a `;` at its end.
pub(crate) fn question(sql: &str) -> Result<String, ParameterError> {
    fill(sql, &[], |_| String::new()).map_err(|error| match error {
        ParameterError::Unknown { name, .. } => ParameterError::None(name),
        other => other,
    })
}

/// The name that `text` begins with.
fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    text.get(..end).unwrap_or("")
}

/// Length of the quoted text at the beginning; to the end if it is not closed.
fn quoted(text: &str, quote: char, backslash: bool) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if backslash && c == '\\' {
            escaped = true;
        } else if c == quote {
            // A doubled quote begins another quoted text, which comes to the same.
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// Whether the quote after `filled` begins `E'…'`, in which a backslash escapes.
fn is_escape_string(filled: &str, before: char) -> bool {
    let mut backwards = filled.chars().rev().skip(1);
    matches!(before, 'e' | 'E') && !backwards.next().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Length of `$tag$…$tag$` at the beginning.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = word(text.get(1..)?);
    if tag.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let fence = text.get(..tag.len() + 2).filter(|fence| fence.ends_with('$'))?;
    let body = text.get(fence.len()..)?;
    Some(
        body.find(fence)
            .map_or(text.len(), |end| fence.len() + end + fence.len()),
    )
}

/// Length of the comment at the beginning; `PostgreSQL`'s comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Whether nothing but blanks, comments and `;` is left.
fn is_blank(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    if text.starts_with("--") {
        return is_blank(text.get(text.find('\n').unwrap_or(text.len())..).unwrap_or(""));
    }
    if text.starts_with("/*") {
        return is_blank(text.get(block_comment(text)..).unwrap_or(""));
    }
    text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(sql: &str) -> Result<String, ParameterError> {
        fill(sql, &["from", "to"], |index| ["F", "T"][index].to_owned())
    }

    #[test]
    fn parameters_are_filled_in_and_nothing_else_is_touched() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("a >= :from AND a < :to", "a >= F AND a < T"),
            ("(:from,:to)", "(F,T)"),
            (":from::date", "F::date"),
            ("x::to", "x::to"),
            ("x :: from", "x :: from"),
            ("':from' || :to", "':from' || T"),
            ("'it''s :from' || :to", "'it''s :from' || T"),
            (r"'\' || :to", r"'\' || T"),
            (r"E'\':from' || :to", r"E'\':from' || T"),
            (r"note'\' || :to", r"note'\' || T"),
            ("\":from\" = :to", "\":from\" = T"),
            ("-- :from\n:to", "-- :from\nT"),
            ("-- :from", "-- :from"),
            (
                "/* :from /* :from */ :from */ :to",
                "/* :from /* :from */ :from */ T",
            ),
            ("/* :from", "/* :from"),
            ("$$ :from $$ || :to", "$$ :from $$ || T"),
            ("$a$ :from $$ $a$ || :to", "$a$ :from $$ $a$ || T"),
            ("a[1:2] || a[x:n] || a[:to]", "a[1:2] || a[x:n] || a[T]"),
            ("':from", "':from"),
            ("ä :from", "ä F"),
            ("SELECT :to ; \n -- end\n /* x */ ;", "SELECT T "),
            ("SELECT ';' , \";\"", "SELECT ';' , \";\""),
        ] {
            assert_eq!(filled(sql).unwrap(), expected, "{sql}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused() {
        assert_eq!(
            filled("SELECT :until").unwrap_err().to_string(),
            "there is no parameter :until; use :from and :to"
        );
        assert_eq!(
            filled("SELECT :fromage").unwrap_err().to_string(),
            "there is no parameter :fromage; use :from and :to"
        );
        for sql in [
            "SELECT 1; DROP TABLE t",
            "SELECT 1; /* */ SELECT 2",
            "SELECT ';'; COMMIT",
        ] {
            assert_eq!(filled(sql), Err(ParameterError::SecondStatement), "{sql}");
        }
    }

    proptest::proptest! {
        /// Whatever the text, reading it ends, and text without a colon and semicolon comes back as it was.
        #[test]
        fn text_without_parameters_is_kept(sql in "[a-z'\"$/*\\-E\\\\ \\n\\[\\]ä]*") {
            proptest::prop_assert_eq!(filled(&sql).unwrap(), sql);
        }
    }
}
