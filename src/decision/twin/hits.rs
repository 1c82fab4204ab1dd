//! Whether a suspension hits an offer at an instant, and when that changes (R2, R11, R12).

use super::answer::{Answer, Yes, missing};
use super::case::Case;
use crate::domain::{
    ComponentReach, Components, Reach, ReasonCode, Suspension, Target, Timestamp, VendorId, Window,
};
use std::collections::BTreeSet;

impl Case<'_, '_> {
    /// R2, R11, R12: how the suspension hits this offer at an instant, if it is in force and does;
    /// unknown components make that itself unknown.
    pub(super) fn hit(
        &self,
        suspension: &Suspension,
        at: Timestamp,
    ) -> Option<(ReasonCode, Answer)> {
        if !suspension.in_force().contains(at) {
            return None;
        }
        let by_vendor = match &suspension.target {
            Target::Offer(id) if *id == self.offer.id => {
                return Some((ReasonCode::OfferSuspended, Yes));
            }
            Target::Product(id) if *id == self.product.id => {
                return Some((ReasonCode::ProductSuspended, Yes));
            }
            Target::Offer(_) | Target::Product(_) => return None,
            Target::Vendor(id) => self.reached(id, suspension.reach, at),
        };
        if self.product.vendors.iter().any(|vendor| by_vendor.contains(vendor)) {
            return Some((ReasonCode::VendorSuspended, Yes));
        }
        if suspension.components == ComponentReach::Exclude {
            return None;
        }
        let inside = ReasonCode::ComponentVendorSuspended;
        match &self.product.components {
            Components::Unknown => Some((inside, missing("components"))),
            Components::Known(parts) => parts
                .iter()
                .any(|part| part.window.contains(at) && by_vendor.contains(&part.vendor))
                .then_some((inside, Yes)),
        }
    }

    /// R12: whom a vendor suspension reaches at an instant.
    pub(super) fn reached(
        &self,
        target: &VendorId,
        reach: Reach,
        at: Timestamp,
    ) -> BTreeSet<VendorId> {
        let owns = |parent: &VendorId, child: &VendorId| {
            self.rules.vendors.get(child).is_some_and(|vendor| {
                vendor.parents.iter().any(|it| it.vendor == *parent && it.window.contains(at))
            })
        };
        let mut reached = BTreeSet::from([target.clone()]);
        loop {
            let more: Vec<VendorId> = self
                .rules
                .vendors
                .keys()
                .filter(|vendor| !reached.contains(*vendor))
                .filter(|vendor| {
                    reached.iter().any(|known| match reach {
                        Reach::EntityOnly => false,
                        Reach::Descendants => owns(known, vendor),
                        Reach::Group => owns(known, vendor) || owns(vendor, known),
                    })
                })
                .cloned()
                .collect();
            if more.is_empty() {
                return reached;
            }
            reached.extend(more);
        }
    }

    /// The first scheduled instant after now at which the suspension begins to hit this offer,
    /// ceases to, or hits it in another way.
    pub(super) fn next_change_of(&self, suspension: &Suspension) -> Option<Timestamp> {
        let ownership = self
            .rules
            .vendors
            .values()
            .flat_map(|vendor| vendor.parents.iter().map(|parent| parent.window));
        let parts = match &self.product.components {
            Components::Known(parts) => parts.as_slice(),
            Components::Unknown => &[],
        };
        let instants: BTreeSet<Timestamp> = ownership
            .chain(parts.iter().map(|part| part.window))
            .chain([suspension.in_force()])
            .flat_map(|window: Window| window.from.into_iter().chain(window.until))
            .filter(|instant| self.now < *instant)
            .collect();
        let today = self.hit(suspension, self.now);
        instants.into_iter().find(|instant| self.hit(suspension, *instant) != today)
    }
}
