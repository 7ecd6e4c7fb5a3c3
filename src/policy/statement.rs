//! A compiled statement of a policy document.

use super::actions::{Actions, ParameterOperationSet};
use super::condition::{Condition, Facts};
use super::effect::Effect;
use super::json::Json;
use super::operation_set::OperationSet;
use super::parameter_request::ParameterPolicyRequest;
use super::parse_error::PolicyParseError;
use super::principals::{Principals, Relation};
use super::request::PolicyRequest;
use super::resources::Resources;
use super::target::Target;
use super::{actions, document_kind::PolicyKind};
use crate::error::Result;
use crate::identity::Principal;
use crate::text::sanitize_for_error;

/// A statement. A statement without operations or without resources applies to no request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    sid: Option<Box<str>>,
    effect: Effect,
    /// The principals, in key policies only. An identity policy applies to the principal that it is
    /// attached to.
    principals: Option<Principals>,
    operations: OperationSet,
    parameter_operations: ParameterOperationSet,
    resources: Option<Resources>,
    conditions: Box<[Condition]>,
}

impl Statement {
    pub(super) fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    pub(super) const fn effect(&self) -> Effect {
        self.effect
    }

    pub(super) const fn operations(&self) -> OperationSet {
        self.operations
    }

    pub(super) fn needs_aliases(&self) -> bool {
        self.conditions.iter().any(Condition::needs_aliases)
    }

    /// Returns the number of pattern characters that may be compared at every position of a value.
    pub(super) fn search_length(&self) -> usize {
        self.conditions.iter().map(Condition::search_length).sum()
    }

    /// Returns the partitions, other than `aws`, of the principals.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &str> {
        self.principals.iter().flat_map(Principals::partitions)
    }

    /// Returns the users, roles and sessions that the statement is limited to, or `None` if it can
    /// apply to others.
    pub(super) fn named_identities(&self) -> Option<impl Iterator<Item = &Principal>> {
        self.principals.as_ref()?.named_identities()
    }

    /// Returns the relation between the statement and a principal, or `None` if the statement does
    /// not apply to it.
    pub(super) fn relation_to(&self, principal: &Principal) -> Option<Relation> {
        self.principals
            .as_ref()
            .map_or(Some(Relation::Itself), |principals| principals.relation_to(principal, self.effect))
    }

    /// Returns `true` if the statement applies to a request for one of its operations. The
    /// principal is not considered.
    pub(super) fn applies_to(&self, request: &PolicyRequest<'_>, target: &Target<'_>) -> Result<bool> {
        self.applies(request, || target.arn())
    }

    /// Returns `true` if the statement applies to a request to the parameter store. The principal is
    /// not considered.
    pub(super) fn applies_to_parameter(&self, request: &ParameterPolicyRequest<'_>) -> Result<bool> {
        let is_named = self.parameter_operations.contains(request.operation);
        Ok(is_named && self.applies(request, || Some(request.resource_arn))?)
    }

    fn applies<'t>(&self, facts: &impl Facts, arn: impl Fn() -> Option<&'t str>) -> Result<bool> {
        if !self.resources.as_ref().is_some_and(|resources| resources.match_arn(arn)) {
            return Ok(false);
        }
        for condition in &self.conditions {
            if !condition.holds(facts)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The elements of statements, including unsupported ones.
    pub(super) const ELEMENTS: [&str; 9] =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

    /// Parses a statement of a policy of the given kind.
    pub(super) fn parse(kind: PolicyKind, value: Json) -> Result<Self, PolicyParseError> {
        let mut parts = Parts::default();
        for (name, value) in value.members()? {
            parts.take(kind, &name, value).map_err(|error| error.within(sanitize_for_error(&name)))?;
        }
        parts.finish(kind)
    }
}

/// The elements of a statement that have been parsed so far.
#[derive(Default)]
struct Parts {
    sid: Option<Box<str>>,
    effect: Option<Effect>,
    principals: Option<Principals>,
    actions: Option<Actions>,
    resources: Option<Resources>,
    conditions: Box<[Condition]>,
}

impl Parts {
    fn take(&mut self, kind: PolicyKind, name: &str, value: Json) -> Result<(), PolicyParseError> {
        match (name, kind) {
            ("Sid", _) => self.sid = Some(value.text()?.into_boxed_str()),
            ("Effect", _) => self.effect = Some(Effect::parse(&value.text()?)?),
            ("Principal", PolicyKind::Key) => self.principals = Some(Principals::parse(value)?),
            ("Principal" | "NotPrincipal", PolicyKind::Identity) => {
                return Err(PolicyParseError::new(
                    "an identity policy cannot name a principal: it applies to the principal that it is attached to",
                ));
            }
            ("NotPrincipal", PolicyKind::Key) => {
                return Err(PolicyParseError::new(
                    "not supported: deny all principals, with a condition on aws:PrincipalArn",
                ));
            }
            ("Action", _) => self.set_actions(actions::parse(kind, value)?)?,
            ("NotAction", _) => self.set_actions(actions::parse(kind, value)?.complement())?,
            ("Resource", _) => self.set_resources(Resources::parse(value, false)?)?,
            ("NotResource", PolicyKind::Identity) => self.set_resources(Resources::parse(value, true)?)?,
            ("NotResource", PolicyKind::Key) => {
                return Err(PolicyParseError::new("not supported in a key policy, which applies only to its key"));
            }
            ("Condition", _) => self.conditions = Condition::parse_all(value)?,
            _ => return Err(PolicyParseError::new("unknown element")),
        }
        Ok(())
    }

    fn set_actions(&mut self, actions: Actions) -> Result<(), PolicyParseError> {
        match self.actions.replace(actions) {
            None => Ok(()),
            Some(_) => Err(PolicyParseError::new("Action and NotAction are mutually exclusive")),
        }
    }

    fn set_resources(&mut self, resources: Resources) -> Result<(), PolicyParseError> {
        match self.resources.replace(resources) {
            None => Ok(()),
            Some(_) => Err(PolicyParseError::new("Resource and NotResource are mutually exclusive")),
        }
    }

    fn finish(self, kind: PolicyKind) -> Result<Statement, PolicyParseError> {
        let Self { sid, effect, principals, actions, resources, conditions } = self;
        let effect = effect.ok_or_else(|| PolicyParseError::new("Effect is missing"))?;
        match kind {
            PolicyKind::Key if principals.is_none() => return Err(PolicyParseError::new("Principal is missing")),
            PolicyKind::Identity if actions.is_none() => return Err(PolicyParseError::new("Action is missing")),
            PolicyKind::Identity if resources.is_none() => return Err(PolicyParseError::new("Resource is missing")),
            // A key policy may omit both; such a statement has no effect.
            PolicyKind::Key | PolicyKind::Identity => {}
        }
        let Actions { operations, parameters: parameter_operations } = actions.unwrap_or_default();
        Ok(Statement { sid, effect, principals, operations, parameter_operations, resources, conditions })
    }
}
