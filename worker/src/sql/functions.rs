//! SQL functions of the product's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use jiff::Timestamp;

/// The instant of the batch that an instance of the plans is run over: microseconds since 1970.
#[derive(Debug, Clone, Default)]
pub(super) struct BatchInstant(Arc<AtomicI64>);

impl BatchInstant {
    pub(super) fn set(&self, now: Timestamp) {
        self.0.store(now.as_microsecond(), Ordering::Relaxed);
    }
}

/// `now()`: the instant of the batch, the same for all of its rows and again whenever the batch is computed again, as a
/// UTC timestamp without zone like every other instant of a pipeline. `DataFusion`'s own is folded into the plan, which
/// is made only once.
pub(super) fn now(instant: BatchInstant) -> ScalarUDF {
    ScalarUDF::from(Now {
        instant,
        signature: Signature::nullary(Volatility::Volatile),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    instant: BatchInstant,
    signature: Signature,
}

impl PartialEq for BatchInstant {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for BatchInstant {}

impl std::hash::Hash for BatchInstant {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &'static str {
        "now"
    }

    fn aliases(&self) -> &[String] {
        static ALIASES: std::sync::LazyLock<[String; 1]> =
            std::sync::LazyLock::new(|| ["current_timestamp".to_owned()]);
        ALIASES.as_slice()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let instant = self.instant.0.load(Ordering::Relaxed);
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(
            Some(instant),
            None,
        )))
    }
}
