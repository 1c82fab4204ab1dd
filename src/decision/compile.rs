//! Compiles a rule set: resolves each suspension to the products and offers that it can hit, and to
//! the times at which it does, so that a decision looks only at its own offer's candidates.
//!
//! Invariant: a rule that cannot be compiled refuses the whole snapshot; none is ever skipped (R17).

use super::candidates::{List, Lists, Stretch};
use super::condition::Condition;
use super::criteria::{StatedCriteria, countries_served};
use super::edges::Edges;
use super::offers::{CompiledOffer, Demands, OfferDetails, Offers};
use super::ownership::{Hit, HitTimes, Ownership, hit_times};
use super::scope::CompiledScope;
use super::snapshot::{Compiled, CompiledExemption, CompiledSuspension, Snapshot};
use super::terms::Terms;
use crate::domain::{
    ComponentReach, Components, Offer, OfferId, Product, ProductId, Reach, Revision, RuleSet,
    Scope, Suspension, SuspensionId, Target, VendorId, Vocabularies, Window,
};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a rule set cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct CompileError {
    /// Which rule, as a path into the rule set: `offers.kis-12m.condition`.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

impl CompileError {
    fn new(path: String, what: impl Into<String>) -> Self {
        Self { path, what: what.into() }
    }

    pub(super) fn unknown(path: String, kind: &str, id: &str) -> Self {
        Self::new(path, format!("no {kind} has the id `{id}`"))
    }
}

impl Snapshot {
    /// Compiles all rules, or none.
    ///
    /// # Errors
    /// When a rule names something that the rule set does not have, or a condition is not the CEL
    /// that is allowed here.
    pub fn compile(rules: &RuleSet, revision: Revision) -> Result<Self, CompileError> {
        let terms = compile_terms(rules)?;
        let waivers = compile_exemptions(rules, &terms)?;
        let suspensions = compile_suspensions(rules, &terms, &waivers)?;
        let mut found = Found::default();
        found.all(rules, &suspensions)?;
        let mut lists = Lists::default();
        let edges = found.edges();
        let mut list = |stretches: Option<Vec<Stretch>>| {
            let stretches = stretches.unwrap_or_default();
            let list = lists.add(stretches, &suspensions, &edges, terms.row_plan());
            list.ok_or_else(|| unnumbered("suspensions"))
        };
        let mut of_products = FxHashMap::default();
        for id in rules.products.keys() {
            of_products.insert(id, list(found.on_products.remove(id))?);
        }
        let mut offers = Vec::with_capacity(rules.offers.len());
        for (id, offer) in &rules.offers {
            let own = list(found.on_offers.remove(id))?;
            offers.push((id, compile_offer(rules, offer, &of_products, own, &terms)?));
        }
        lists.finish();
        let offers = Offers::new(offers).ok_or_else(|| unnumbered("offers"))?;
        let compiled = Compiled { offers, lists, suspensions, edges };
        Ok(Self { revision, terms: Arc::new(terms), compiled: Arc::new(compiled) })
    }
}

fn unnumbered(rules: &str) -> CompileError {
    CompileError::new(rules.to_owned(), "they cannot be numbered")
}

fn compile_terms(rules: &RuleSet) -> Result<Terms, CompileError> {
    let vocabularies = &rules.vocabularies;
    for (name, terms) in [
        ("segments", vocabularies.segments.len()),
        ("devices", vocabularies.devices.len()),
        ("channels", vocabularies.channels.len()),
    ] {
        if Vocabularies::MOST_TERMS < terms {
            let most = Vocabularies::MOST_TERMS;
            let what = format!("{terms} terms; at most {most} are allowed");
            return Err(CompileError::new(format!("vocabularies.{name}"), what));
        }
    }
    Ok(Terms::new(rules))
}

fn compile_scope(
    path: impl FnOnce() -> String,
    scope: &Scope,
    terms: &Terms,
) -> Result<CompiledScope, CompileError> {
    match terms.first_unknown(scope) {
        Some(term) => Err(CompileError::unknown(path(), "term of the vocabularies", term)),
        None => Ok(CompiledScope::new(scope, terms)),
    }
}

/// The exemptions that name each suspension.
type Waivers<'r> = FxHashMap<&'r SuspensionId, Vec<Arc<CompiledExemption>>>;

fn compile_exemptions<'r>(rules: &'r RuleSet, terms: &Terms) -> Result<Waivers<'r>, CompileError> {
    let mut waivers = Waivers::default();
    for exemption in rules.exemptions.values() {
        let path = || format!("exemptions.{}", exemption.id);
        if let Some(id) = exemption.waives.iter().find(|id| !rules.suspensions.contains_key(*id)) {
            let path = format!("{}.waives", path());
            return Err(CompileError::unknown(path, "suspension", id.as_str()));
        }
        let scope = compile_scope(path, &exemption.scope, terms)?;
        let compiled = Arc::new(CompiledExemption { exemption: Arc::clone(exemption), scope });
        for waived in &exemption.waives {
            waivers.entry(waived).or_default().push(Arc::clone(&compiled));
        }
    }
    Ok(waivers)
}

fn compile_suspensions(
    rules: &RuleSet,
    terms: &Terms,
    waivers: &Waivers<'_>,
) -> Result<Box<[CompiledSuspension]>, CompileError> {
    let mut ordered: Vec<&Arc<Suspension>> = rules.suspensions.values().collect();
    ordered.sort_by_key(|suspension| (suspension.from, &suspension.id));
    let compile = |suspension: &Arc<Suspension>| {
        let path = || format!("suspensions.{}", suspension.id);
        Ok(CompiledSuspension {
            scope: compile_scope(path, &suspension.scope, terms)?,
            exemptions: waivers.get(&suspension.id).cloned().unwrap_or_default().into(),
            suspension: Arc::clone(suspension),
        })
    };
    ordered.into_iter().map(compile).collect()
}

fn compile_offer(
    rules: &RuleSet,
    offer: &Arc<Offer>,
    of_products: &FxHashMap<&ProductId, List>,
    own: List,
    terms: &Terms,
) -> Result<CompiledOffer, CompileError> {
    let path = |field: &str| format!("offers.{}.{field}", offer.id);
    let product = rules.products.get(&offer.product).zip(of_products.get(&offer.product));
    let Some((product, of_product)) = product else {
        return Err(CompileError::unknown(path("product"), "product", offer.product.as_str()));
    };
    if let Some(id) = offer.alternates.iter().find(|id| !rules.offers.contains_key(*id)) {
        return Err(CompileError::unknown(path("alternates"), "offer", id.as_str()));
    }
    let condition = match &offer.condition {
        None => None,
        Some(source) => Some(
            Condition::compile(source)
                .map_err(|what| CompileError::new(path("condition"), what))?,
        ),
    };
    let required = |name| {
        terms.required(name).ok_or_else(|| {
            CompileError::unknown(path("requires"), "attribute among the terms", name)
        })
    };
    let demands = Demands {
        criteria: StatedCriteria::of(offer),
        requires: offer.requires.iter().map(|name| required(name)).collect::<Result<_, _>>()?,
        max_per_unit: offer.max_per_unit,
        countries: countries_served(offer).map(Box::new),
    };
    let has_alternates = !offer.alternates.is_empty();
    let (offer, product) = (Arc::clone(offer), Arc::clone(product));
    let details = OfferDetails { offer, product, condition };
    Ok(CompiledOffer { details, demands, has_alternates, suspensions: [*of_product, own] })
}

/// The stretches found so far, by what they hit.
#[derive(Default)]
struct Found {
    on_products: FxHashMap<ProductId, Vec<Stretch>>,
    on_offers: FxHashMap<OfferId, Vec<Stretch>>,
}

impl Found {
    fn all<'r>(
        &mut self,
        rules: &'r RuleSet,
        suspensions: &'r [CompiledSuspension],
    ) -> Result<(), CompileError> {
        let mut vendors = VendorHits::new(rules)?;
        for (place, compiled) in (0u32..).zip(suspensions) {
            let suspension = &*compiled.suspension;
            let unknown = |kind, id: &str| {
                let path = format!("suspensions.{}.target.{kind}", suspension.id);
                CompileError::unknown(path, kind, id)
            };
            match &suspension.target {
                Target::Offer(id) if rules.offers.contains_key(id) => {
                    let always = [(Window::ALWAYS, Hit::Offer)];
                    let list = self.on_offers.entry(id.clone()).or_default();
                    add(list, place, compiled, &always);
                }
                Target::Product(id) if rules.products.contains_key(id) => {
                    let always = [(Window::ALWAYS, Hit::Product)];
                    let list = self.on_products.entry(id.clone()).or_default();
                    add(list, place, compiled, &always);
                }
                Target::Vendor(id) if rules.vendors.contains_key(id) => {
                    let hits = vendors.hits(id, suspension.reach, suspension.components);
                    for (product, times) in &*hits {
                        let list = self.on_products.entry(product.clone()).or_default();
                        add(list, place, compiled, times);
                    }
                }
                target => return Err(unknown(target.kind(), target.id())),
            }
        }
        Ok(())
    }

    /// When any of them begins or ends.
    fn edges(&self) -> Edges {
        let stretches = self.on_products.values().chain(self.on_offers.values()).flatten();
        Edges::new(stretches.flat_map(|stretch| [Some(stretch.from), stretch.until]).flatten())
    }
}

/// Adds each stretch of time in which the suspension is in force and hits.
fn add(
    list: &mut Vec<Stretch>,
    place: u32,
    compiled: &CompiledSuspension,
    times: &[(Window, Hit)],
) {
    let suspension = &*compiled.suspension;
    let in_force = suspension.in_force();
    for (window, hit) in times {
        let from = window.from.map_or(suspension.from, |from| from.max(suspension.from));
        let until = match (window.until, in_force.until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        if until.is_none_or(|until| from < until) {
            list.push(Stretch { place, hit: *hit, from, until });
        }
    }
}

type ProductHits = Arc<[(ProductId, HitTimes)]>;

/// A product under the id by which the rule set knows it.
type ById<'r> = (&'r ProductId, &'r Product);

/// Which products a vendor suspension hits, worked out once for each way to reach.
struct VendorHits<'r> {
    ownership: Ownership<'r>,
    /// Products by the vendors that supply them or a known component of theirs.
    involving: FxHashMap<&'r VendorId, Vec<ById<'r>>>,
    with_unknown_components: Vec<ById<'r>>,
    known: FxHashMap<(&'r VendorId, Reach, ComponentReach), ProductHits>,
}

impl<'r> VendorHits<'r> {
    fn new(rules: &'r RuleSet) -> Result<Self, CompileError> {
        let mut involving: FxHashMap<_, Vec<_>> = FxHashMap::default();
        let mut with_unknown_components = Vec::new();
        for (id, product) in &rules.products {
            let by_id: ById<'r> = (id, product);
            let components = match &product.components {
                Components::Known(components) => components.as_slice(),
                Components::Unknown => {
                    with_unknown_components.push(by_id);
                    &[]
                }
            };
            let behind = components.iter().map(|component| &component.vendor);
            for vendor in product.vendors.iter().chain(behind) {
                if !rules.vendors.contains_key(vendor) {
                    let path = format!("products.{id}");
                    return Err(CompileError::unknown(path, "vendor", vendor.as_str()));
                }
                involving.entry(vendor).or_default().push(by_id);
            }
        }
        let ownership = Ownership::new(rules)?;
        let known = FxHashMap::default();
        Ok(Self { ownership, involving, with_unknown_components, known })
    }

    fn hits(
        &mut self,
        target: &'r VendorId,
        reach: Reach,
        components: ComponentReach,
    ) -> ProductHits {
        if let Some(hits) = self.known.get(&(target, reach, components)) {
            return Arc::clone(hits);
        }
        let reached = self.ownership.reached(target, reach);
        let involved = reached.keys().filter_map(|vendor| self.involving.get(vendor)).flatten();
        let mut concerned: BTreeMap<_, _> = involved.copied().collect();
        if components == ComponentReach::Include {
            concerned.extend(self.with_unknown_components.iter().copied());
        }
        let hits: ProductHits = concerned
            .into_iter()
            .map(|(id, product)| (id.clone(), hit_times(product, &reached, components)))
            .filter(|(_, times)| !times.is_empty())
            .collect();
        self.known.insert((target, reach, components), Arc::clone(&hits));
        hits
    }
}
