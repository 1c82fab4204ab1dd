//! Who may call what: the one table.
//!
//! Invariant: what is not in the table is not served to anybody, so a method that is added and forgotten
//! here is closed and not open.

use crate::domain::{Role, Roles};
use Role::{Auditor, BreakGlass, Caller, Checker, Maker, Operator, Reader};
use rustc_hash::FxHashMap;

/// What a caller needs for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: probes ask before anybody can prove anything.
    Nothing,
    /// One of these roles.
    One(&'static [Role]),
}
use Needs::{Nothing, One};

/// Each method, and the roles of which a caller needs one.
const TABLE: &[(&str, Needs)] = &[
    ("offergate.v1.EligibilityService/CheckEligibility", One(&[Caller])),
    ("offergate.v1.EligibilityService/BatchCheckEligibility", One(&[Caller])),
    ("offergate.v1.EligibilityService/StreamEligibility", One(&[Caller])),
    ("offergate.v1.EligibilityService/ListEligibleOffers", One(&[Caller])),
    ("offergate.v1.EligibilityService/ExplainEligibility", One(&[Reader, Caller, Auditor])),
    ("offergate.v1.RuleService/PlanRules", One(&[Reader, Maker])),
    ("offergate.v1.RuleService/ApplyRules", One(&[Maker])),
    ("offergate.v1.RuleService/ExportRules", One(&[Reader, Auditor])),
    ("offergate.v1.RuleService/GetRevision", One(&[Reader, Auditor])),
    ("offergate.v1.RuleService/ListRevisions", One(&[Reader, Auditor])),
    ("offergate.v1.RuleService/WatchRevisions", One(&[Reader, Auditor])),
    ("offergate.v1.CatalogService/Search", One(&[Reader])),
    ("offergate.v1.CatalogService/GetVendor", One(&[Reader])),
    ("offergate.v1.CatalogService/GetProduct", One(&[Reader])),
    ("offergate.v1.CatalogService/GetOffer", One(&[Reader])),
    ("offergate.v1.CatalogService/ListOffers", One(&[Reader])),
    ("offergate.v1.SuspensionService/CreateSuspension", One(&[Maker])),
    ("offergate.v1.SuspensionService/AmendSuspension", One(&[Maker])),
    ("offergate.v1.SuspensionService/LiftSuspension", One(&[Maker])),
    ("offergate.v1.SuspensionService/CreateExemption", One(&[Maker])),
    ("offergate.v1.SuspensionService/GetSuspension", One(&[Reader, Auditor])),
    ("offergate.v1.SuspensionService/ListSuspensions", One(&[Reader, Auditor])),
    ("offergate.v1.SuspensionService/PreviewChange", One(&[Reader, Maker, Checker, BreakGlass])),
    ("offergate.v1.SuspensionService/ApproveChange", One(&[Checker])),
    // Who asked for it takes it back.
    ("offergate.v1.SuspensionService/RejectChange", One(&[Maker, Checker])),
    ("offergate.v1.SuspensionService/EditChange", One(&[Maker])),
    ("offergate.v1.SuspensionService/EmergencySuspend", One(&[BreakGlass])),
    ("offergate.v1.SuspensionService/RatifyChange", One(&[Checker])),
    ("offergate.v1.SuspensionService/GetChange", One(&[Reader, Maker, Checker, Auditor])),
    ("offergate.v1.SuspensionService/ListChanges", One(&[Reader, Maker, Checker, Auditor])),
    ("offergate.v1.SuspensionService/HistoryOfSuspension", One(&[Reader, Auditor])),
    ("offergate.v1.FleetService/ListReplicas", One(&[Reader, Operator])),
    (
        "offergate.v1.FleetService/AwaitEnforcement",
        One(&[Reader, Maker, Checker, BreakGlass, Operator]),
    ),
    ("offergate.v1.FleetService/AcceptHistory", One(&[Operator])),
    ("offergate.v1.AuditService/ListRecords", One(&[Auditor])),
    ("offergate.v1.AuditService/GetCheckpoint", One(&[Auditor])),
    ("offergate.v1.AuditService/GetInclusionProof", One(&[Auditor])),
    ("offergate.v1.AuditService/GetConsistencyProof", One(&[Auditor])),
    ("offergate.v1.AuditService/ReplayDecision", One(&[Auditor])),
    ("offergate.v1.AuditService/ListExposures", One(&[Auditor])),
    ("offergate.v1.MailingService/ProposeMailing", One(&[Maker])),
    ("offergate.v1.MailingService/GetMailing", One(&[Reader, Caller, Maker, Checker, Auditor])),
    ("offergate.v1.MailingService/BeginMailing", One(&[Caller])),
    ("offergate.v1.PermitService/HoldPermit", One(&[Caller])),
    ("grpc.health.v1.Health/Check", Nothing),
    ("grpc.health.v1.Health/Watch", Nothing),
    // The protos are public; whether they are told at all is a setting.
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Nothing),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Nothing),
];

/// The table, ready to be asked.
#[derive(Debug)]
pub(super) struct Needed(FxHashMap<&'static str, Needs>);

impl Needed {
    pub(super) fn new() -> Self {
        Self(TABLE.iter().copied().collect())
    }

    /// What the method at this path needs; `None` for one that is not served.
    pub(super) fn by(&self, path: &str) -> Option<Needs> {
        self.0.get(path.strip_prefix('/')?).copied()
    }
}

impl Needs {
    /// Whether somebody with these roles may go on.
    pub(super) fn allow(self, roles: Roles) -> bool {
        match self {
            Nothing => true,
            One(needed) => needed.iter().any(|role| roles.has(*role)),
        }
    }

    /// Whether it takes a role that is for changing something: one that neither reading, asking nor auditing
    /// gives.
    pub(super) fn are_for_changes(self) -> bool {
        let only_looks = |role: &Role| matches!(role, Reader | Caller | Auditor);
        matches!(self, One(needed) if !needed.iter().any(only_looks))
    }

    /// The roles, in words.
    pub(super) fn in_words(self) -> String {
        match self {
            Nothing => String::new(),
            One(needed) => needed.iter().map(|role| role.name()).collect::<Vec<_>>().join(" or "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_that_is_served_has_one_row_and_no_row_is_of_another() {
        let rows: Vec<_> = TABLE.iter().map(|(method, _)| *method).collect();
        assert_eq!(rows, crate::grpc::METHODS);
        assert_eq!(Needed::new().0.len(), TABLE.len(), "a method has two rows");
        let empty = TABLE.iter().find(|(_, needs)| *needs == One(&[]));
        assert_eq!(empty, None, "what nobody may call need not be served");
    }

    #[test]
    fn what_is_not_in_the_table_is_closed() {
        let needed = Needed::new();
        for path in ["/offergate.v1.RuleService/DropRules", "/", "", "grpc.health.v1.Health/Check"]
        {
            assert_eq!(needed.by(path), None, "{path}");
        }
        assert_eq!(needed.by("/grpc.health.v1.Health/Check"), Some(Nothing));
    }
}
