//! What a decision has found so far, and the outcome that follows from it.

use super::edges::{Edge, Edges};
use super::truth::{Gaps, Truth};
use crate::domain::{
    Decision, Exemption, Outcome, Reason, ReasonCode, ReportedSuspension, Revision, Suspension,
    SuspensionId, Timestamp,
};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;
use thin_vec::ThinVec;

/// Borrows the snapshot's suspensions for `'s`.
#[derive(Default)]
pub(super) struct Findings<'s> {
    /// What denies and is about no attribute, one bit a code.
    denials: u32,
    gaps: Gaps,
    /// What denies and is about one of the bank's own attributes.
    own_denials: SmallVec<[Reason; 1]>,
    /// Gaps in the bank's own attributes.
    own_gaps: SmallVec<[Reason; 1]>,
    /// In the order of their suspensions.
    suspensions: SmallVec<[ReportedSuspension<'s>; 4]>,
    exemptions: ThinVec<Arc<Exemption>>,
    /// What a clause of its own holds off, in the order of the suspensions.
    grandfathered: ThinVec<SuspensionId>,
    valid_until: Option<Timestamp>,
    /// The first edge of a suspension that could touch the decision.
    next_edge: Edge,
}

impl<'s> Findings<'s> {
    pub(super) fn deny(&mut self, code: ReasonCode) {
        self.denials |= 1 << (code as u32);
    }

    pub(super) fn deny_own(&mut self, reason: Reason) {
        if !self.own_denials.contains(&reason) {
            self.own_denials.push(reason);
        }
    }

    /// Denies when `truth` holds, and notes the gaps when nobody can tell.
    pub(super) fn deny_if(&mut self, truth: Truth, code: ReasonCode) {
        match truth {
            Truth::Yes => self.deny(code),
            Truth::No => {}
            Truth::Unknown(gaps) => self.lack(gaps),
        }
    }

    pub(super) fn lack(&mut self, gaps: Gaps) {
        self.gaps = self.gaps.with(gaps);
    }

    pub(super) fn lack_own(&mut self, reason: Reason) {
        if !self.own_gaps.contains(&reason) {
            self.own_gaps.push(reason);
        }
    }

    pub(super) fn report(&mut self, suspension: &'s Arc<Suspension>, code: ReasonCode) {
        let suspension = Cow::Borrowed(suspension);
        self.suspensions.push(ReportedSuspension { suspension, code });
    }

    pub(super) fn exempt(&mut self, exemption: &Arc<Exemption>) {
        if !self.exemptions.iter().any(|used| used.id == exemption.id) {
            self.exemptions.push(Arc::clone(exemption));
        }
    }

    pub(super) fn grandfather(&mut self, suspension: &Suspension) {
        self.grandfathered.push(suspension.id.clone());
    }

    /// A scheduled change at `instant`, which is to come, could touch the decision.
    pub(super) fn touch(&mut self, instant: Timestamp) {
        self.valid_until = Some(self.valid_until.map_or(instant, |known| known.min(instant)));
    }

    /// The same of an edge.
    pub(super) fn touch_edge(&mut self, edge: Edge) {
        self.next_edge = self.next_edge.min(edge);
    }

    /// A definite no outranks missing data, and missing data outranks what allows.
    pub(super) fn outcome(&mut self) -> (Outcome, SmallVec<[Reason; 2]>) {
        if self.denials != 0 || !self.own_denials.is_empty() {
            (Outcome::Ineligible, self.denied())
        } else if !self.gaps.is_empty() || !self.own_gaps.is_empty() {
            (Outcome::Indeterminate, self.lacking())
        } else {
            (Outcome::Eligible, self.allowances())
        }
    }

    /// The decision that follows. What was found is used up; it stays where it is, being hundreds of bytes.
    pub(super) fn conclude(
        &mut self,
        revision: Revision,
        edges: &Edges,
        as_of: Timestamp,
    ) -> Decision<'s> {
        if let Some(instant) = edges.at(self.next_edge) {
            self.touch(instant);
        }
        let (outcome, reasons) = self.outcome();
        self.exemptions.sort_by(|a, b| (a.from, &a.id).cmp(&(b.from, &b.id)));
        Decision {
            revision,
            as_of,
            outcome,
            reasons,
            suspensions: std::mem::take(&mut self.suspensions),
            exemptions: std::mem::take(&mut self.exemptions),
            grandfathered: std::mem::take(&mut self.grandfathered),
            alternate: None,
            valid_until: self.valid_until,
        }
    }

    #[inline]
    fn denied(&mut self) -> SmallVec<[Reason; 2]> {
        let mut reasons: SmallVec<[Reason; 2]> = SmallVec::new();
        let mut rest = self.denials;
        while rest != 0 {
            // Codes are numbered in the order in which they are listed.
            if let Some(code) = ReasonCode::ALL.get(rest.trailing_zeros() as usize) {
                reasons.push(Reason::plain(*code));
            }
            rest &= rest - 1;
        }
        if !self.own_denials.is_empty() {
            reasons.extend(std::mem::take(&mut self.own_denials));
            reasons.sort();
        }
        reasons
    }

    #[inline(never)]
    fn lacking(&mut self) -> SmallVec<[Reason; 2]> {
        let own = std::mem::take(&mut self.own_gaps);
        let mut reasons: SmallVec<[Reason; 2]> = self.gaps.reasons().chain(own).collect();
        reasons.sort();
        reasons.dedup();
        reasons
    }

    fn allowances(&self) -> SmallVec<[Reason; 2]> {
        let mut reasons = SmallVec::new();
        if !self.exemptions.is_empty() {
            reasons.push(Reason::plain(ReasonCode::Exempted));
        }
        if !self.grandfathered.is_empty() {
            reasons.push(Reason::plain(ReasonCode::Grandfathered));
        }
        if reasons.is_empty() {
            reasons.push(Reason::plain(ReasonCode::NoRuleApplies));
        }
        reasons
    }
}
