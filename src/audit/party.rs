//! Who did something, as records hold it: a principal without its roles, which pass.

use crate::domain::{Principal, PrincipalId, PrincipalKind};
use std::sync::Arc;

/// Who did something. Two parties are the same one when issuer and subject are: names are for reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Who it is, as compared.
    pub id: PrincipalId,
    /// What people called it.
    pub name: Arc<str>,
    /// A person or a program.
    pub kind: PrincipalKind,
    /// The person who answered for a service account.
    pub owner: Option<PrincipalId>,
}

impl Party {
    /// The issuer of what this service does by itself.
    const OURSELVES: &str = "offergate";

    /// Somebody whose word was taken for who they are.
    #[must_use]
    pub fn unverified(name: &str) -> Self {
        Self::from(&Principal::unverified(name))
    }

    /// This service, where nobody asked it to.
    #[must_use]
    pub fn ourselves() -> Self {
        Self {
            id: PrincipalId { issuer: Self::OURSELVES.into(), subject: Self::OURSELVES.into() },
            name: Self::OURSELVES.into(),
            kind: PrincipalKind::Service,
            owner: None,
        }
    }

    /// Who answers for what it did.
    #[must_use]
    pub fn answers(&self) -> &PrincipalId {
        self.owner.as_ref().unwrap_or(&self.id)
    }

    /// Whether one person stands behind both.
    #[must_use]
    pub fn is_same_hand(&self, other: &Self) -> bool {
        self.answers() == other.answers()
    }
}

impl From<&Principal> for Party {
    fn from(principal: &Principal) -> Self {
        let Principal { id, name, kind, owner, roles: _, lacks: _ } = principal;
        Self { id: id.clone(), name: Arc::clone(name), kind: *kind, owner: owner.clone() }
    }
}
