//! The physical id of a resource: fixed, so that nothing is replaced by accident.

use std::fmt;

/// CloudFormation refuses a longer one.
const MAX_BYTES: usize = 1024;

/// Ends an id under which nothing was made.
const NOT_CREATED: &str = "-not-created";

/// A physical resource id: non-empty, at most 1,024 bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PhysicalId(String);

impl PhysicalId {
    /// The id of a resource that is being created: always the same for the same stack and logical id, so that a repeated
    /// or a late Create names the same resource.
    ///
    /// The last part of a stack's ARN tells it apart from an earlier stack of the same name.
    pub(crate) fn of(stack_id: &str, logical_id: &str) -> Self {
        let incarnation = stack_id.rsplit('/').next().unwrap_or(stack_id);
        Self::new(&format!("{logical_id}-{incarnation}"), "")
    }

    /// The id that answers a Create which failed before anything was made.
    pub(crate) fn not_created(stack_id: &str, logical_id: &str) -> Self {
        Self::new(&Self::of(stack_id, logical_id).0, NOT_CREATED)
    }

    /// An id as CloudFormation sent it; `None` if it is empty.
    pub fn received(id: &str) -> Option<Self> {
        (!id.is_empty()).then(|| Self(id.to_owned()))
    }

    /// Whether this id says that its Create failed before anything was made.
    pub(crate) fn says_not_created(&self) -> bool {
        self.0.ends_with(NOT_CREATED)
    }

    fn new(id: &str, ending: &str) -> Self {
        Self(format!("{}{ending}", &id[..id.floor_char_boundary(MAX_BYTES - ending.len())]))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PhysicalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str =
        "arn:aws:cloudformation:eu-west-1:123456789012:stack/stream/8f2b1c00-aaaa-11ef-9262-0e1234567890";

    #[test]
    fn the_same_stack_and_logical_id_give_the_same_id() {
        assert_eq!(PhysicalId::of(STACK, "DbInit").as_str(), "DbInit-8f2b1c00-aaaa-11ef-9262-0e1234567890");
        assert_eq!(PhysicalId::of(STACK, "DbInit"), PhysicalId::of(STACK, "DbInit"));
        assert_ne!(PhysicalId::of(STACK, "DbInit"), PhysicalId::of(STACK, "DmsPre"));
    }

    #[test]
    fn ids_are_never_empty_and_never_too_long() {
        for (stack, logical) in
            [("", ""), ("ü".repeat(900).as_str(), "é"), (STACK, "ä".repeat(2000).as_str())]
        {
            for id in [PhysicalId::of(stack, logical), PhysicalId::not_created(stack, logical)] {
                assert!((1..=MAX_BYTES).contains(&id.as_str().len()));
            }
            assert!(PhysicalId::not_created(stack, logical).says_not_created());
            assert!(!PhysicalId::of(stack, logical).says_not_created());
        }
    }
}
