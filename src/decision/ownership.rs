//! Whom a vendor suspension reaches, over all of time (R11, R12).
//!
//! Ownership and components are dated, so a suspension can hit a product during some intervals and
//! not during others. Both are worked out here once, when a snapshot is compiled; a decision only
//! compares instants.

use super::compile::CompileError;
use crate::domain::{
    Component, ComponentReach, Components, Offer, OfferId, Product, Reach, RuleSet, Timestamp,
    VendorId, Window,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a suspension hits a product or offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hit {
    /// One of the product's own vendors is reached.
    Vendor,
    /// The vendor of a component is reached.
    Component,
    /// No own vendor is reached, and nobody knows the components: a component's could be.
    UnknownComponents,
    /// The product itself is the target.
    Product,
    /// The offer itself is the target.
    Offer,
}

/// While a product is hit, and how; in order, without overlaps.
pub(super) type HitTimes = Vec<(Window, Hit)>;

/// Which offers a vendor is behind, and when: by itself, by its family, or by a component.
#[derive(Debug)]
pub struct Involvement(BTreeMap<OfferId, HitTimes>);

/// How a vendor is behind an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Involved {
    /// It, or one of its family, supplies the product.
    Vendor,
    /// It, or one of its family, makes a component.
    Component,
    /// Nobody knows the product's components: one could be its.
    UnknownComponents,
}

impl Involved {
    /// The name, as answers spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vendor => "VENDOR",
            Self::Component => "COMPONENT",
            Self::UnknownComponents => "UNKNOWN_COMPONENTS",
        }
    }
}

impl Involvement {
    /// All offers of these rules that a vendor's whole group is behind.
    ///
    /// # Errors
    /// When the rules name a vendor that they do not have.
    pub fn of(rules: &RuleSet, vendor: &VendorId) -> Result<Self, CompileError> {
        let reached = Ownership::new(rules)?.reached(vendor, Reach::Group);
        let of_offer = |offer: &Arc<Offer>| {
            let product = rules.products.get(&offer.product)?;
            Some((offer.id.clone(), hit_times(product, &reached, ComponentReach::Include)))
        };
        Ok(Self(rules.offers.values().filter_map(of_offer).collect()))
    }

    /// How the vendor is behind an offer at an instant, if it is.
    #[must_use]
    pub fn at(&self, offer: &str, at: Timestamp) -> Option<Involved> {
        let (_, hit) = self.0.get(offer)?.iter().find(|(window, _)| window.contains(at))?;
        match hit {
            Hit::Vendor => Some(Involved::Vendor),
            Hit::Component => Some(Involved::Component),
            Hit::UnknownComponents => Some(Involved::UnknownComponents),
            Hit::Product | Hit::Offer => None,
        }
    }
}

/// Who owns whom, and when.
pub(super) struct Ownership<'r> {
    edges: Vec<Edge<'r>>,
    /// The instants at which anything about ownership changes, in order.
    changes: Vec<Timestamp>,
}

struct Edge<'r> {
    child: &'r VendorId,
    parent: &'r VendorId,
    window: Window,
}

/// While a vendor is reached, in order, without overlaps.
pub(super) type Reached = BTreeMap<VendorId, Vec<Window>>;

impl<'r> Ownership<'r> {
    pub(super) fn new(rules: &'r RuleSet) -> Result<Self, CompileError> {
        let mut edges = Vec::new();
        for vendor in rules.vendors.values() {
            for parent in &vendor.parents {
                if !rules.vendors.contains_key(&parent.vendor) {
                    return Err(CompileError::unknown(
                        format!("vendors.{}.parents", vendor.id),
                        "vendor",
                        parent.vendor.as_str(),
                    ));
                }
                let window = parent.window;
                edges.push(Edge { child: &vendor.id, parent: &parent.vendor, window });
            }
        }
        let changes = edges_of(edges.iter().map(|edge| edge.window));
        Ok(Self { edges, changes })
    }

    /// Every vendor that `target` reaches, with the time during which it does.
    pub(super) fn reached(&self, target: &VendorId, reach: Reach) -> Reached {
        let mut reached = Reached::new();
        for period in periods(&self.changes) {
            for vendor in self.reached_during(period, target, reach) {
                extend(reached.entry(vendor.clone()).or_default(), period);
            }
        }
        reached
    }

    fn reached_during<'s>(
        &'s self,
        period: Window,
        target: &'s VendorId,
        reach: Reach,
    ) -> BTreeSet<&'s VendorId> {
        let mut found = BTreeSet::from([target]);
        let mut next = vec![target];
        while let Some(vendor) = next.pop() {
            for edge in self.edges.iter().filter(|edge| holds_during(edge.window, period)) {
                let neighbour = match reach {
                    Reach::EntityOnly => None,
                    Reach::Descendants => (edge.parent == vendor).then_some(edge.child),
                    Reach::Group if edge.parent == vendor => Some(edge.child),
                    Reach::Group => (edge.child == vendor).then_some(edge.parent),
                };
                if let Some(neighbour) = neighbour.filter(|neighbour| found.insert(neighbour)) {
                    next.push(neighbour);
                }
            }
        }
        found
    }
}

/// While `product` is hit by a suspension that reaches `reached`. Its own vendors come before its
/// components: one suspension hits a product in one way at a time.
pub(super) fn hit_times(
    product: &Product,
    reached: &Reached,
    components: ComponentReach,
) -> HitTimes {
    let parts: &[Component] = match (&product.components, components) {
        (Components::Known(parts), ComponentReach::Include) => parts,
        _ => &[],
    };
    let unknown_parts =
        product.components == Components::Unknown && components == ComponentReach::Include;
    let involved = |vendor: &VendorId| reached.get(vendor).map_or(&[][..], Vec::as_slice);
    let own = product.vendors.iter().flat_map(|vendor| involved(vendor).iter().copied());
    let within = parts.iter().flat_map(|part| {
        let windows = involved(&part.vendor).iter().copied();
        windows.chain((!involved(&part.vendor).is_empty()).then_some(part.window))
    });
    let changes = edges_of(own.clone().chain(within));
    let is_reached = |vendor: &VendorId, period: Window| {
        involved(vendor).iter().any(|window| holds_during(*window, period))
    };
    let mut times = HitTimes::new();
    for period in periods(&changes) {
        let hit = if product.vendors.iter().any(|vendor| is_reached(vendor, period)) {
            Hit::Vendor
        } else if parts
            .iter()
            .any(|part| holds_during(part.window, period) && is_reached(&part.vendor, period))
        {
            Hit::Component
        } else if unknown_parts {
            Hit::UnknownComponents
        } else {
            continue;
        };
        match times.last_mut() {
            Some((window, last)) if *last == hit && window.until == period.from => {
                window.until = period.until;
            }
            _ => times.push((period, hit)),
        }
    }
    times
}

/// All instants at which one of the windows opens or closes, in order, each once.
fn edges_of(windows: impl Iterator<Item = Window>) -> Vec<Timestamp> {
    let edges: BTreeSet<_> =
        windows.flat_map(|window| window.from.into_iter().chain(window.until)).collect();
    edges.into_iter().collect()
}

/// The stretches of time between instants, from the beginning of time to its end.
fn periods(changes: &[Timestamp]) -> impl Iterator<Item = Window> {
    let starts = std::iter::once(None).chain(changes.iter().copied().map(Some));
    let ends = changes.iter().copied().map(Some).chain(std::iter::once(None));
    starts.zip(ends).map(|(from, until)| Window { from, until })
}

/// Whether a window holds during a period that none of its edges interrupts.
fn holds_during(window: Window, period: Window) -> bool {
    match period.from {
        Some(start) => window.contains(start),
        None => window.from.is_none() && !window.is_empty(),
    }
}

fn extend(windows: &mut Vec<Window>, period: Window) {
    match windows.last_mut() {
        Some(last) if last.until.is_some() && last.until == period.from => {
            last.until = period.until;
        }
        _ => windows.push(period),
    }
}
