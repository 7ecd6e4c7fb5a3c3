//! The `Condition` element: additional requirements for a statement to apply.

mod key;
mod lookup;
mod operator;
mod parameter_lookup;
mod test;
mod value;

use self::key::{ConditionKey, NamedKey};
use self::operator::{Operator, Quantifier};
use self::test::Test;
use self::value::Value;
use super::json::Json;
use super::parse_error::PolicyParseError;
use crate::error::Result;
use crate::text::sanitize_for_error;

/// Called with each value until it returns `true`.
type Visit<'f> = &'f mut dyn FnMut(Value<'_>) -> bool;

/// A request whose values conditions can test.
pub(super) trait Facts {
    /// Returns `true` if `visit` returns `true` for any value of the key in the request, or `None` if
    /// the key has no value.
    fn any(&self, key: &ConditionKey, visit: Visit<'_>) -> Result<Option<bool>>;
}

/// A comparison of a condition key with values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    key: ConditionKey,
    operator: Operator,
    test: Test,
}

impl Condition {
    /// Parses the value of the element: comparisons that must all hold.
    pub(super) fn parse_all(value: Json) -> Result<Box<[Self]>, PolicyParseError> {
        let mut conditions = Vec::new();
        for (name, comparisons) in value.members()? {
            let operator = Operator::parse(&name)?;
            let comparisons = comparisons.members().map_err(|error| error.within(&name))?;
            if comparisons.is_empty() {
                return Err(PolicyParseError::new("must name a condition key").within(&name));
            }
            for (key, values) in comparisons {
                let condition = Self::parse(operator, &key, values);
                conditions.push(
                    condition.map_err(|error| error.within(format_args!("{name}: {}", sanitize_for_error(&key))))?,
                );
            }
        }
        Ok(conditions.into_boxed_slice())
    }

    fn parse(operator: Operator, name: &str, values: Json) -> Result<Self, PolicyParseError> {
        let key = ConditionKey::parse(name)?;
        operator.check_key(key.value_type(), key.arity())?;
        let values: Vec<String> = values.one_or_more()?.into_iter().map(Json::scalar).collect::<Result<_, _>>()?;
        let test = Test::parse(operator.family, key.value_type(), &values)?;
        Ok(Self { key, operator, test })
    }

    /// Returns `true` if the condition holds.
    pub(super) fn holds(&self, facts: &impl Facts) -> Result<bool> {
        let Operator { negated, quantifier, if_exists, .. } = self.operator;
        if let Test::Null(absent) = self.test {
            return Ok(facts.any(&self.key, &mut |_| true)?.is_none() == absent);
        }
        let passes = |value: Value<'_>| self.test.passes(value) != negated;
        Ok(match quantifier {
            // If the value is missing, a comparison fails and a negated comparison holds.
            Quantifier::Single => match facts.any(&self.key, &mut |value| self.test.passes(value))? {
                Some(any) => any != negated,
                None => if_exists || negated,
            },
            Quantifier::ForAny => facts.any(&self.key, &mut |value| passes(value))?.unwrap_or(if_exists),
            Quantifier::ForAll => {
                let fails = facts.any(&self.key, &mut |value| !passes(value))?;
                !fails.unwrap_or(false)
            }
        })
    }

    /// Returns the number of pattern characters that may be compared at every position of a value.
    pub(super) fn search_length(&self) -> usize {
        self.test.search_length()
    }

    /// Returns `true` if the condition depends on the aliases of the key.
    pub(super) fn needs_aliases(&self) -> bool {
        self.key == ConditionKey::Named(NamedKey::ResourceAliases)
    }
}
