//! Previews a change: which offers it touches, and which of some customers would be answered
//! differently. Changes nothing.

use super::change::{compile, on_another_thread};
use super::documents::{self, RuleFile};
use super::suspend::{amend, lift, put_suspension};
use super::{Answer, Service, ServiceError};
use crate::decision::{Effect, Snapshot, Timing, decide, explain};
use crate::domain::{
    Action, Attribute, CheckRequest, Customer, Decision, Exemption, Holding, HoldingStatus, Offer,
    Revision, RuleChange, RuleEdit, RuleSet, Suspension, SuspensionId, Timestamp,
};
use crate::replica::Held;
use crate::store::Loaded;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most decisions that one preview takes; about a second of work.
const MOST_DECISIONS: usize = 2_000_000;

/// After how many decisions others get a turn.
const TURN: usize = 500;

/// A change that is only looked at.
#[derive(Debug)]
pub enum Proposed {
    /// Create this suspension, or amend the one with this id.
    Suspension(Box<Suspension>),
    /// Lift the suspension with this id.
    Lift(SuspensionId),
    /// Create this exemption.
    Exemption(Box<Exemption>),
    /// Apply this rule file.
    Document(RuleFile),
}

/// What to look at.
#[derive(Debug)]
pub struct PreviewRequest<'a> {
    /// The customers to decide before and after.
    pub customers: Vec<Customer<'a>>,
    /// The actions to decide for; all that can be gated when empty.
    pub actions: Vec<Action>,
    /// The instant to decide for; when `None`, now or the first instant of what is proposed.
    pub as_of: Option<Timestamp>,
    /// How many samples to keep.
    pub samples: usize,
}

/// What a change would touch.
#[derive(Debug)]
pub struct Preview {
    /// The revision compared with.
    pub base: Revision,
    /// The instant decided for.
    pub as_of: Timestamp,
    /// How many offers there are.
    pub offers_total: usize,
    /// The offers touched, by id.
    pub offers: Vec<OfferEffect>,
    /// How many customers were given.
    pub customers: usize,
    /// How many of them would be answered differently.
    pub changed: usize,
    /// The same by country of residence.
    pub by_country: BTreeMap<String, Count>,
    /// The same by segment.
    pub by_segment: BTreeMap<String, Count>,
    /// The same by holder of a touched product.
    pub by_holder: BTreeMap<String, Count>,
    /// Some of the answers that would differ.
    pub samples: Vec<Sample>,
}

/// An offer that a change touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferEffect {
    /// The offer, as it is after the change if it still is.
    pub offer: Arc<Offer>,
    /// Suspensions that would newly stand against it.
    pub suspended_by: Vec<SuspensionId>,
    /// Suspensions that would no longer stand against it.
    pub released_from: Vec<SuspensionId>,
}

/// Customers, and how many of them would be answered differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// How many there are.
    pub customers: usize,
    /// How many would be answered differently.
    pub changed: usize,
}

/// An answer that would differ.
#[derive(Debug)]
pub struct Sample {
    /// The customer's id.
    pub customer: String,
    /// The offer.
    pub offer: Arc<Offer>,
    /// The action.
    pub action: Action,
    /// The answer over the rules in force.
    pub before: Answer<'static>,
    /// The answer over the rules as changed.
    pub after: Answer<'static>,
}

impl Service {
    /// Compares the rules in force with the rules as changed.
    ///
    /// # Errors
    /// When the change could not be made, or too much is asked for at once.
    pub async fn preview(
        &self,
        proposed: Proposed,
        request: PreviewRequest<'_>,
    ) -> Result<Preview, ServiceError> {
        let before = self.needs_rules()?;
        let now = self.clock.wall();
        let PreviewRequest { customers, actions, as_of, samples } = request;
        let starts = match &proposed {
            Proposed::Suspension(suspension) => suspension.from,
            Proposed::Exemption(exemption) => exemption.from,
            Proposed::Lift(_) | Proposed::Document(_) => now,
        };
        let as_of = as_of.unwrap_or_else(|| now.max(starts));
        let wanted = match &proposed {
            Proposed::Document(file) => Some(file.clone().read().await?),
            Proposed::Suspension(_) | Proposed::Lift(_) | Proposed::Exemption(_) => None,
        };
        let held = Arc::clone(&before);
        let work = move || {
            let change = steps(&held.rules, &proposed, wanted.as_ref(), now, as_of)?;
            let rules = held.rules.after(&change);
            let snapshot = compile(&rules, held.head.revision)?;
            let after = Held::new(Loaded { rules, ..held.loaded() }, snapshot);
            let offers = touched(&held, &after, as_of);
            Ok((Arc::new(after), offers))
        };
        let (after, offers) = on_another_thread(work).await?;
        let gated = || Action::ALL.into_iter().filter(|&action| action != Action::Notify);
        let actions = if actions.is_empty() { gated().collect() } else { actions };
        let given = customers.len().saturating_mul(offers.len()).saturating_mul(actions.len());
        if MOST_DECISIONS < given {
            let what = "decisions (customers by touched offers by actions)";
            return Err(ServiceError::TooMuch { what, given, most: MOST_DECISIONS });
        }
        let mut preview = Preview {
            base: before.head.revision,
            as_of,
            offers_total: after.rules.offers.len(),
            offers,
            customers: customers.len(),
            changed: 0,
            by_country: BTreeMap::new(),
            by_segment: BTreeMap::new(),
            by_holder: BTreeMap::new(),
            samples: Vec::new(),
        };
        let comparison = Comparison { service: self, before, after, actions, as_of, samples };
        comparison.count(&customers, &mut preview).await;
        Ok(preview)
    }
}

/// The steps of a proposed change.
fn steps(
    rules: &RuleSet,
    proposed: &Proposed,
    wanted: Option<&RuleSet>,
    now: Timestamp,
    as_of: Timestamp,
) -> Result<RuleChange, ServiceError> {
    Ok(match (proposed, wanted) {
        (_, Some(wanted)) => documents::steps(rules, wanted, now)?,
        (Proposed::Suspension(suspension), None) => match rules.suspensions.get(&suspension.id) {
            Some(held) => amend(held, suspension, now)?,
            None => put_suspension((**suspension).clone()),
        },
        // A lift counts from the instant looked at, so that its effect is seen.
        (Proposed::Lift(id), None) => lift(rules, id, now.min(as_of))?,
        (Proposed::Exemption(exemption), None) => {
            let exemption = Arc::new((**exemption).clone());
            RuleChange { edits: vec![RuleEdit::PutExemption(exemption)] }
        }
        (Proposed::Document(_), None) => RuleChange::default(),
    })
}

/// The offers that read differently before and after: in their terms, in their product, or in what
/// suspends them or waives a suspension.
pub(super) fn touched(before: &Held, after: &Held, as_of: Timestamp) -> Vec<OfferEffect> {
    let ids: BTreeSet<_> = before.rules.offers.keys().chain(after.rules.offers.keys()).collect();
    let mut effects = Vec::new();
    for id in ids {
        let (old, new) = (before.rules.offers.get(id), after.rules.offers.get(id));
        let Some(offer) = new.or(old) else { continue };
        let product = |held: &Held, offer: Option<&Arc<Offer>>| {
            held.rules.products.get(&offer?.product).cloned()
        };
        let was = standing(&before.snapshot, offer, as_of);
        let is = standing(&after.snapshot, offer, as_of);
        if old == new && product(before, old) == product(after, new) && was == is {
            continue;
        }
        let only_in = |one: &Standing, other: &Standing| {
            one.keys().filter(|id| !other.contains_key(*id)).cloned().collect()
        };
        effects.push(OfferEffect {
            offer: Arc::clone(offer),
            suspended_by: only_in(&is, &was),
            released_from: only_in(&was, &is),
        });
    }
    effects
}

/// What suspends an offer at an instant, with the exemptions that name it.
pub(super) type Standing = BTreeMap<SuspensionId, (Arc<Suspension>, Vec<Arc<Exemption>>)>;

pub(super) fn standing(snapshot: &Snapshot, offer: &Offer, as_of: Timestamp) -> Standing {
    let nobody = CheckRequest {
        customer: Customer::default(),
        offer: offer.id.as_str(),
        action: Action::Offer,
        channel: Attribute::Missing,
        device: Attribute::Missing,
    };
    let trace = explain(&nobody, snapshot, as_of);
    let hitting = trace
        .suspensions
        .into_iter()
        .filter(|trace| matches!(trace.timing, Timing::Now(_)) && trace.effect != Effect::NotNow);
    hitting
        .map(|trace| {
            let exemptions = trace.exemptions.into_iter().map(|found| found.exemption).collect();
            (trace.suspension.id.clone(), (trace.suspension, exemptions))
        })
        .collect()
}

/// Decides customers before and after.
struct Comparison<'s> {
    service: &'s Service,
    before: Arc<Held>,
    after: Arc<Held>,
    actions: Vec<Action>,
    as_of: Timestamp,
    samples: usize,
}

impl Comparison<'_> {
    async fn count(&self, customers: &[Customer<'_>], preview: &mut Preview) {
        let mut since_turn = 0;
        let offers: Vec<_> =
            preview.offers.iter().map(|effect| Arc::clone(&effect.offer)).collect();
        for customer in customers {
            // For each kind of holder that the customer is: whether anything changes for it.
            let mut holders: BTreeMap<&'static str, bool> = BTreeMap::new();
            for offer in &offers {
                let given = customer.holding_of(offer.product.as_str()).copied();
                let holding = given.unwrap_or(Holding::NONE);
                let mut asked = customer.shorter();
                asked.holding = Attribute::Known(holding);
                let differs = self.differs(asked, offer, preview);
                *holders.entry(holder(&holding, self.as_of)).or_default() |= differs;
                since_turn += self.actions.len();
                if TURN <= since_turn {
                    since_turn = 0;
                    tokio::task::yield_now().await;
                }
            }
            let changed = holders.values().any(|&changed| changed);
            preview.changed += usize::from(changed);
            let country = customer.country.known().map(|country| country.to_string());
            let segment = customer.segment.known().map(str::to_owned);
            add(&mut preview.by_country, country.unwrap_or_default(), changed);
            add(&mut preview.by_segment, segment.unwrap_or_default(), changed);
            for (holder, changed) in holders {
                add(&mut preview.by_holder, holder.to_owned(), changed);
            }
        }
    }

    /// Whether any action's outcome differs; keeps the first as samples.
    fn differs<'r>(
        &self,
        customer: Customer<'r>,
        offer: &'r Arc<Offer>,
        preview: &mut Preview,
    ) -> bool {
        let (channel, device) = (Attribute::Missing, Attribute::Missing);
        let offer_id = offer.id.as_str();
        let mut request =
            CheckRequest { customer, offer: offer_id, action: Action::Offer, channel, device };
        let mut differs = false;
        for &action in &self.actions {
            request.action = action;
            let before = decide(&request, &self.before.snapshot, self.as_of);
            let after = decide(&request, &self.after.snapshot, self.as_of);
            if before.outcome == after.outcome {
                continue;
            }
            differs = true;
            if preview.samples.len() < self.samples {
                preview.samples.push(Sample {
                    customer: request.customer.id.to_owned(),
                    offer: Arc::clone(offer),
                    action,
                    before: self.answer(before, &self.before),
                    after: self.answer(after, &self.after),
                });
            }
        }
        differs
    }

    fn answer(&self, decision: Decision<'_>, held: &Arc<Held>) -> Answer<'static> {
        let limit = self.service.staleness_limit;
        Answer::of(decision.into_owned(), Some(Arc::clone(held)), self.as_of, limit)
    }
}

fn add(counts: &mut BTreeMap<String, Count>, value: String, changed: bool) {
    let count = counts.entry(value).or_default();
    count.customers += 1;
    count.changed += usize::from(changed);
}

/// Whether a holding is active; empty when that was not said.
fn holder(holding: &Holding<'_>, now: Timestamp) -> &'static str {
    match holding.status {
        Attribute::Missing | Attribute::Invalid => "",
        Attribute::Known(HoldingStatus::Active) => match holding.term_end {
            Attribute::Known(end) if end <= now => "NEW",
            Attribute::Invalid => "",
            Attribute::Known(_) | Attribute::Missing => "EXISTING",
        },
        Attribute::Known(_) => "NEW",
    }
}
