//! SQL functions of the product's own.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use jiff::Timestamp;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// `now()`: the instant at which the batch is processed, as a UTC timestamp without zone like every other
/// instant of a pipeline. `DataFusion`'s own is folded into the plan, which is made only once.
pub(super) fn now(clock: Clock) -> ScalarUDF {
    ScalarUDF::from(Now {
        clock: NamedClock(clock),
        signature: Signature::nullary(Volatility::Volatile),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    clock: NamedClock,
    signature: Signature,
}

struct NamedClock(Clock);

impl std::fmt::Debug for NamedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl PartialEq for NamedClock {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for NamedClock {}

impl std::hash::Hash for NamedClock {
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
        let instant = (self.clock.0)().as_microsecond();
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(
            Some(instant),
            None,
        )))
    }
}
