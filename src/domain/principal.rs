//! Who calls: a person or a service, and what they may do.
//!
//! Two principals are the same hand when the same person answers for both. Names are for reading and
//! are never compared: only issuer and subject are.

use std::fmt;
use std::sync::Arc;

/// What an issuer vouches for: its own name, and its name for whoever calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId {
    /// Who vouches: the `iss` of a token, `spiffe://` and a trust domain, or [`PrincipalId::UNVERIFIED`].
    pub issuer: Arc<str>,
    /// Its stable name for the caller: the `sub` of a token, the path of a certificate's URI.
    pub subject: Arc<str>,
}

impl PrincipalId {
    /// The issuer of names that nobody vouches for: where a server's settings let everybody in.
    pub const UNVERIFIED: &str = "unverified";

    /// A name that nobody vouches for.
    #[must_use]
    pub fn unverified(name: &str) -> Self {
        Self { issuer: Self::UNVERIFIED.into(), subject: name.into() }
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.subject, self.issuer)
    }
}

/// Whether a person calls, or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    /// A person.
    Person,
    /// A program, under an account of its own.
    Service,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who it is, as compared.
    pub id: PrincipalId,
    /// What people call it.
    pub name: Arc<str>,
    /// A person or a program.
    pub kind: PrincipalKind,
    /// The person who answers for a service account; `None` for a person, and for an account that nobody
    /// answers for.
    pub owner: Option<PrincipalId>,
    /// What it may do.
    pub roles: Roles,
    /// What the proof of who it is lacks for an emergency, in words; `None` when nothing does, or nothing
    /// more is asked for.
    pub lacks: Option<Arc<str>>,
}

impl Principal {
    /// Somebody who says who they are, where nobody asks for proof.
    #[must_use]
    pub fn unverified(name: &str) -> Self {
        Self {
            id: PrincipalId::unverified(name),
            name: name.into(),
            kind: PrincipalKind::Person,
            owner: None,
            roles: Roles::ALL,
            lacks: None,
        }
    }

    /// Who answers for what this principal does.
    #[must_use]
    pub fn answers(&self) -> &PrincipalId {
        self.owner.as_ref().unwrap_or(&self.id)
    }

    /// Whether one person stands behind both, so that the one cannot approve what the other asked for.
    #[must_use]
    pub fn is_same_hand(&self, other: &Self) -> bool {
        self.answers() == other.answers()
    }
}

/// A bundle of things that a principal may do. Which, is one table: `grpc/roles.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads the catalogue, the rules and their history.
    Reader,
    /// Asks for decisions.
    Caller,
    /// Asks for changes.
    Maker,
    /// Approves or rejects what somebody else asked for.
    Checker,
    /// Suspends at once and alone, in an emergency.
    BreakGlass,
    /// Reads the evidence: records, proofs, decisions.
    Auditor,
    /// Runs the fleet: replicas, histories that disagree.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Reader,
        Self::Caller,
        Self::Maker,
        Self::Checker,
        Self::BreakGlass,
        Self::Auditor,
        Self::Operator,
    ];

    /// The name, as settings, tokens and records spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Caller => "caller",
            Self::Maker => "maker",
            Self::Checker => "checker",
            Self::BreakGlass => "break-glass",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Roles(u8);

impl Roles {
    /// None: what a principal has that nobody has given any.
    pub const NONE: Self = Self(0);

    /// Every role.
    pub const ALL: Self = {
        let mut all = 0;
        let mut number = 0;
        while number < Role::ALL.len() {
            all |= 1 << number;
            number += 1;
        }
        Self(all)
    };

    /// Whether the role is among them.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// These, and one more.
    #[must_use]
    pub fn and(self, role: Role) -> Self {
        Self(self.0 | (1 << role as u8))
    }

    /// These, and all of the others.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::NONE, Self::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_the_same_hand_as_its_owner() {
        let ann = Principal::unverified("ann");
        let robot = Principal {
            id: PrincipalId::unverified("robot"),
            kind: PrincipalKind::Service,
            owner: Some(ann.id.clone()),
            ..Principal::unverified("Zoe")
        };
        let zoe = Principal::unverified("Zoe");
        assert!(robot.is_same_hand(&ann) && ann.is_same_hand(&robot));
        assert!(!robot.is_same_hand(&zoe), "names are not compared");
    }

    #[test]
    fn a_set_has_the_roles_it_was_given_and_no_others() {
        let some: Roles = [Role::Maker, Role::Operator].into_iter().collect();
        for role in Role::ALL {
            assert_eq!(some.has(role), matches!(role, Role::Maker | Role::Operator), "{role:?}");
            assert!(Roles::ALL.has(role) && !Roles::NONE.has(role));
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
    }
}
