//! Arrow arrays in another type, so that every value is what it was or an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewBuilder};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};

/// Casts without turning what does not fit into NULL.
pub(crate) fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    // There is no direct way between these two.
    if matches!(array.data_type(), DataType::FixedSizeBinary(_)) && *to == DataType::BinaryView {
        return cast_with_options(
            &cast_with_options(array, &DataType::Binary, &options)?,
            to,
            &options,
        );
    }
    cast_with_options(array, to, &options)
}

/// Each value as JSON text.
pub(crate) fn json_texts(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    // DataFusion may give a dictionary of structs; the JSON encoder wants the plain array only at the top.
    let array = match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value)?,
        _ => Arc::clone(array),
    };
    let field = Arc::new(Field::new("value", array.data_type().clone(), true));
    // A key without a value is not the same as no key.
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, array.as_ref(), &options)?;
    let mut texts = StringViewBuilder::with_capacity(array.len());
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
        } else {
            text.clear();
            encoder.encode(row, &mut text);
            texts.append_value(
                std::str::from_utf8(&text).map_err(|error| ArrowError::JsonError(error.to_string()))?,
            );
        }
    }
    Ok(Arc::new(texts.finish()))
}
