//! Decides again, slowly and obviously, straight from the rule set: the rules R1 to R17 in the
//! order in which people discuss them, with nothing compiled and nothing remembered.
//!
//! It shares no code with [`decide`](super::decide) but the reading of a CEL condition. The two are
//! held against each other on random rules, customers and instants, and replay demands that both
//! give what was recorded. When they differ, at least one of them is wrong about a rule.

use super::condition::{Condition, Given};
use crate::domain::{
    Action, Attribute, AttributeName, AttributeValue, CheckRequest, ComponentReach, Components,
    Country, Date, Decision, Exemption, Holder, Holding, HoldingStatus, Offer, Outcome, Product,
    Reach, Reason, ReasonCode, ReportedSuspension, Revision, RuleSet, Scope, Suspension, Target,
    Timestamp, VendorId, Vocabularies, Window,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The same answer as [`decide`](super::decide), without a snapshot.
#[must_use]
pub fn decide(
    request: &CheckRequest<'_>,
    rules: &RuleSet,
    revision: Revision,
    now: Timestamp,
) -> Decision {
    // R14
    let Some(offer) = rules.offers.get(request.offer) else {
        return Decision::because(Reason::plain(ReasonCode::OfferUnknown), revision, now);
    };
    // R10
    if request.action == Action::Notify {
        return Decision::because(Reason::plain(ReasonCode::NotGated), revision, now);
    }
    let listed = request.customer.holding_of(offer.product.as_str()).copied();
    let holding = match (request.customer.holding, listed) {
        (Attribute::Missing, Some(listed)) => Attribute::Known(listed),
        (given, _) => given,
    };
    let mut decision = one_offer(request, offer, holding, rules, revision, now);
    // R13
    if decision.outcome != Outcome::Eligible {
        for id in &offer.alternates {
            let Some(alternate) = rules.offers.get(id) else { continue };
            let other = if alternate.product == offer.product {
                holding
            } else {
                let listed = request.customer.holding_of(alternate.product.as_str());
                Attribute::Known(listed.copied().unwrap_or(Holding::NONE))
            };
            let judged = one_offer(request, alternate, other, rules, revision, now);
            decision.valid_until = decision.valid_until.into_iter().chain(judged.valid_until).min();
            if judged.outcome == Outcome::Eligible {
                decision.alternate = Some(id.clone());
                break;
            }
        }
    }
    decision
}

/// Yes, no, or cannot tell for want of these.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Yes,
    No,
    Unknown(BTreeSet<Reason>),
}
use Answer::{No, Unknown, Yes};

fn yes_if(holds: bool) -> Answer {
    if holds { Yes } else { No }
}

fn missing(name: &'static str) -> Answer {
    let name = AttributeName::Standard(name);
    Unknown(BTreeSet::from([Reason::about(ReasonCode::AttributeMissing, name)]))
}

fn invalid(name: &'static str) -> Answer {
    let name = AttributeName::Standard(name);
    Unknown(BTreeSet::from([Reason::about(ReasonCode::AttributeInvalid, name)]))
}

fn ask<T>(attribute: Attribute<T>, name: &'static str, test: impl FnOnce(T) -> bool) -> Answer {
    match attribute {
        Attribute::Known(value) => yes_if(test(value)),
        Attribute::Missing => missing(name),
        Attribute::Invalid => invalid(name),
    }
}

/// No if any is no; else unknown if any is unknown, for want of all that those lack; else yes.
fn all(answers: impl IntoIterator<Item = Answer>) -> Answer {
    let mut lacking = BTreeSet::new();
    for answer in answers {
        match answer {
            No => return No,
            Yes => {}
            Unknown(more) => lacking.extend(more),
        }
    }
    if lacking.is_empty() { Yes } else { Unknown(lacking) }
}

fn not(answer: Answer) -> Answer {
    match answer {
        Yes => No,
        No => Yes,
        unknown => unknown,
    }
}

/// Yes if any is yes; else unknown if any is unknown; else no.
fn any(answers: impl IntoIterator<Item = Answer>) -> Answer {
    not(all(answers.into_iter().map(not)))
}

/// One customer, one product, one instant.
struct Case<'a, 't> {
    request: &'a CheckRequest<'t>,
    rules: &'a RuleSet,
    offer: &'a Offer,
    product: &'a Product,
    holding: Attribute<Holding<'t>>,
    now: Timestamp,
}

fn one_offer<'t>(
    request: &CheckRequest<'t>,
    offer: &Offer,
    holding: Attribute<Holding<'t>>,
    rules: &RuleSet,
    revision: Revision,
    now: Timestamp,
) -> Decision {
    let Some(product) = rules.products.get(&offer.product) else {
        return Decision::because(Reason::plain(ReasonCode::OfferUnknown), revision, now);
    };
    let case = Case { request, rules, offer, product, holding, now };
    let mut denials: BTreeSet<Reason> = BTreeSet::new();
    let mut lacking: BTreeSet<Reason> = BTreeSet::new();
    let mut changes: BTreeSet<Timestamp> = BTreeSet::new();
    let mut reported = Vec::new();
    let mut used: Vec<Arc<Exemption>> = Vec::new();
    let mut grandfathered = Vec::new();

    let mut suspensions: Vec<_> = rules.suspensions.values().collect();
    suspensions.sort_by_key(|suspension| (suspension.from, suspension.id.clone()));
    for suspension in suspensions {
        // R3
        let in_scope = case.in_scope(&suspension.scope);
        if in_scope == No {
            continue;
        }
        changes.extend(case.next_change_of(suspension));
        // R2, R11, R12
        let Some((code, hit)) = case.hit(suspension, now) else { continue };
        let matched = all([in_scope, hit]);
        // R5
        let mut waivers = Vec::new();
        for exemption in rules.exemptions.values() {
            let applies = case.in_scope(&exemption.scope);
            if !exemption.waives.contains(&suspension.id) || applies == No {
                continue;
            }
            changes.extend(exemption.in_force().next_edge(now));
            if !exemption.in_force().contains(now) {
                continue;
            }
            if applies == Yes && !used.contains(exemption) {
                used.push(Arc::clone(exemption));
            }
            waivers.push(applies);
        }
        // R9
        let helped = case.grandfathered(suspension);
        if helped != No {
            changes.extend(suspension.grandfather.map(|clause| clause.until));
        }
        if helped == Yes {
            grandfathered.push(suspension.id.clone());
        }
        waivers.push(helped);
        let waived = any(waivers);
        // R4, R6
        match all([matched.clone(), not(waived.clone())]) {
            Yes => drop(denials.insert(Reason::plain(code))),
            No => {}
            Unknown(gaps) => lacking.extend(gaps),
        }
        if matched == Yes && waived != Yes {
            let suspension = Arc::clone(suspension);
            reported.push(ReportedSuspension { suspension, code });
        }
    }
    // R7, R9
    for (answer, code) in case.objections() {
        match answer {
            Yes => drop(denials.insert(code)),
            No => {}
            Unknown(gaps) => lacking.extend(gaps),
        }
    }
    changes.extend(case.coming_instants().into_iter().filter(|instant| now < *instant));

    used.sort_by_key(|exemption| (exemption.from, exemption.id.clone()));
    let (outcome, reasons) = if !denials.is_empty() {
        (Outcome::Ineligible, denials)
    } else if !lacking.is_empty() {
        (Outcome::Indeterminate, lacking)
    } else {
        let mut allowed = BTreeSet::new();
        if !used.is_empty() {
            allowed.insert(Reason::plain(ReasonCode::Exempted));
        }
        if !grandfathered.is_empty() {
            allowed.insert(Reason::plain(ReasonCode::Grandfathered));
        }
        if allowed.is_empty() {
            allowed.insert(Reason::plain(ReasonCode::NoRuleApplies));
        }
        (Outcome::Eligible, allowed)
    };
    Decision {
        revision,
        as_of: now,
        outcome,
        reasons: reasons.into_iter().collect(),
        suspensions: reported.into_iter().collect(),
        exemptions: used.into_iter().collect(),
        grandfathered: grandfathered.into_iter().collect(),
        alternate: None,
        valid_until: changes.into_iter().next(),
    }
}

impl<'t> Case<'_, 't> {
    /// R3: every stated dimension; countries and person nexus together mean either.
    fn in_scope(&self, scope: &Scope) -> Answer {
        let customer = &self.request.customer;
        let mut stated = Vec::new();
        if !scope.actions.is_empty() {
            stated.push(yes_if(scope.actions.contains(&self.request.action)));
        }
        if !scope.product_classes.is_empty() {
            stated.push(yes_if(scope.product_classes.contains(&self.product.class)));
        }
        if !scope.customers.is_empty() {
            stated.push(yes_if(scope.customers.iter().any(|id| id.as_str() == customer.id)));
        }
        let mut place = Vec::new();
        if !scope.countries.is_empty() {
            place.push(ask(customer.country, "country", |country: Country| {
                scope.countries.contains(&country)
            }));
        }
        if !scope.person_nexus.is_empty() {
            place.push(ask(customer.us_person, "us_person", |is_one| is_one));
        }
        if !place.is_empty() {
            stated.push(any(place));
        }
        if !scope.segments.is_empty() {
            stated.push(ask(self.segment(), "segment", |segment| {
                scope.segments.iter().any(|term| term.as_str() == segment)
            }));
        }
        if !scope.devices.is_empty() {
            stated.push(ask(self.device(), "device", |device| {
                scope.devices.iter().any(|term| term.as_str() == device)
            }));
        }
        if !scope.channels.is_empty() {
            stated.push(ask(self.channel(), "channel", |channel| {
                scope.channels.iter().any(|term| term.as_str() == channel)
            }));
        }
        if !scope.relationships.is_empty() {
            stated.push(ask(customer.relationship, "relationship", |relationship| {
                scope.relationships.contains(&relationship)
            }));
        }
        // R8
        if scope.holders == [Holder::Existing] {
            stated.push(self.holds());
        } else if scope.holders == [Holder::New] {
            stated.push(not(self.holds()));
        }
        all(stated)
    }

    // The closed lists: a term outside them is invalid.
    fn segment(&self) -> Attribute<&'t str> {
        let terms = &self.rules.vocabularies.segments;
        known_term(self.request.customer.segment, |text| terms.iter().any(|t| t.as_str() == text))
    }

    fn device(&self) -> Attribute<&'t str> {
        let terms = &self.rules.vocabularies.devices;
        known_term(self.request.device, |text| terms.iter().any(|t| t.as_str() == text))
    }

    fn channel(&self) -> Attribute<&'t str> {
        let terms = &self.rules.vocabularies.channels;
        known_term(self.request.channel, |text| terms.iter().any(|t| t.as_str() == text))
    }

    fn of_holding<T>(
        &self,
        name: &'static str,
        field: impl FnOnce(Holding<'t>) -> Attribute<T>,
        test: impl FnOnce(T) -> bool,
    ) -> Answer {
        match self.holding {
            Attribute::Known(holding) => ask(field(holding), name, test),
            Attribute::Missing => missing("holding"),
            Attribute::Invalid => invalid("holding"),
        }
    }

    fn status_is(&self, statuses: &[HoldingStatus]) -> Answer {
        self.of_holding("holding.status", |holding| holding.status, |it| statuses.contains(&it))
    }

    /// R3: status `ACTIVE`, and before the end of the term if it has one.
    fn holds(&self) -> Answer {
        match self.status_is(&[HoldingStatus::Active]) {
            Yes => match self.holding.known().map(|holding| holding.term_end) {
                None | Some(Attribute::Missing) => Yes,
                Some(end) => ask(end, "holding.term_end", |end| self.now < end),
            },
            other => other,
        }
    }

    fn is_covered(&self) -> Answer {
        match self.holding {
            Attribute::Known(Holding { covered_by: Attribute::Missing, .. }) => No,
            Attribute::Known(holding) => ask(holding.covered_by, "holding.covered_by", |_| true),
            Attribute::Missing => missing("holding"),
            Attribute::Invalid => invalid("holding"),
        }
    }

    /// R2, R11, R12: how the suspension hits this offer at an instant, if it is in force and does;
    /// unknown components make that itself unknown.
    fn hit(&self, suspension: &Suspension, at: Timestamp) -> Option<(ReasonCode, Answer)> {
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
    fn reached(&self, target: &VendorId, reach: Reach, at: Timestamp) -> BTreeSet<VendorId> {
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
    fn next_change_of(&self, suspension: &Suspension) -> Option<Timestamp> {
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

    /// R9: accepted and not yet activated, strictly before the clause's date, while it lasts.
    fn grandfathered(&self, suspension: &Suspension) -> Answer {
        let Some(clause) = suspension.grandfather else { return No };
        all([
            yes_if(self.now < clause.until),
            self.status_is(&[HoldingStatus::Accepted]),
            self.of_holding(
                "holding.accepted_at",
                |holding| holding.accepted_at,
                |accepted_at| accepted_at < clause.accepted_before,
            ),
        ])
    }

    /// R7 and R9: everything in the offer's terms and the entitlement that may stand against it.
    fn objections(&self) -> Vec<(Answer, Reason)> {
        let (action, customer) = (self.request.action, &self.request.customer);
        let starts = matches!(action, Action::Offer | Action::Activate | Action::Reactivate);
        let mut found = Vec::new();
        let mut object = |answer, code| found.push((answer, Reason::plain(code)));
        if starts {
            object(not(yes_if(self.offer.window.contains(self.now))), ReasonCode::OfferNotOpen);
            object(self.holds(), ReasonCode::AlreadyHeld);
            object(self.at_limit(), ReasonCode::UnitLimitReached);
        }
        if starts || action == Action::Renew {
            if !self.offer.countries.is_empty() {
                let served = ask(customer.country, "country", |country| {
                    self.offer.countries.contains(&country)
                });
                object(not(served), ReasonCode::CountryNotServed);
            }
            object(self.wrong_age(), ReasonCode::AgeOutOfRange);
            if let Some(source) = &self.offer.condition {
                object(not(self.condition(source)), ReasonCode::ConditionNotMet);
            }
        }
        if action == Action::Offer && self.offer.outbound_excludes_vulnerable {
            let outbound =
                ask(self.channel(), "channel", |channel| Vocabularies::OUTBOUND.contains(&channel));
            let vulnerable = ask(customer.vulnerable, "vulnerable", |is_one| is_one);
            object(all([outbound, vulnerable]), ReasonCode::OutboundSuppressed);
        }
        let entitled = match action {
            Action::Use => any([self.holds(), self.is_covered()]),
            Action::Renew | Action::Update => self.holds(),
            _ => Yes,
        };
        let never = self.status_is(&[HoldingStatus::None, HoldingStatus::Accepted]) == Yes;
        let why =
            if never { ReasonCode::EntitlementNotFound } else { ReasonCode::EntitlementEnded };
        object(not(entitled), why);
        if starts || action == Action::Renew {
            for name in &self.offer.requires {
                let about = |code| Reason::about(code, AttributeName::Own(Arc::clone(name)));
                let gap = |code| Unknown(BTreeSet::from([about(code)]));
                let fails = match customer.attribute(name) {
                    Some(AttributeValue::Bool(is_so)) => yes_if(!is_so),
                    Some(_) => gap(ReasonCode::AttributeInvalid),
                    None => gap(ReasonCode::AttributeMissing),
                };
                found.push((fails, about(ReasonCode::RequirementNotMet)));
            }
        }
        found
    }

    fn at_limit(&self) -> Answer {
        let Some(most) = self.offer.max_per_unit else { return No };
        if most == 0 {
            return Yes;
        }
        let Attribute::Known(holding) = self.holding else {
            return self.of_holding("holding", |holding| holding.status, |_| true);
        };
        let one = all([yes_if(most == 1), any([self.holds(), self.is_covered()])]);
        match holding.unit_count {
            Attribute::Known(count) => {
                any([yes_if(most <= count), all([yes_if(most == 1), self.is_covered()])])
            }
            Attribute::Missing => one,
            Attribute::Invalid => any([one, invalid("holding.unit_count")]),
        }
    }

    fn wrong_age(&self) -> Answer {
        if self.offer.min_age.is_none() && self.offer.max_age.is_none() {
            return No;
        }
        let born = match self.request.customer.date_of_birth {
            Attribute::Known(born) => born,
            Attribute::Missing => return missing("date_of_birth"),
            Attribute::Invalid => return invalid("date_of_birth"),
        };
        match age(born, self.today()) {
            None => invalid("date_of_birth"),
            Some(age) => yes_if(
                self.offer.min_age.is_some_and(|least| age < i32::from(least))
                    || self.offer.max_age.is_some_and(|most| i32::from(most) < age),
            ),
        }
    }

    fn today(&self) -> Date {
        jiff::tz::TimeZone::UTC.to_datetime(self.now).date()
    }

    fn given(&self) -> Given<'_, 't> {
        Given {
            customer: &self.request.customer,
            segment: self.segment(),
            channel: self.channel(),
            device: self.device(),
            action: self.request.action,
            now: self.now,
        }
    }

    fn condition(&self, source: &str) -> Answer {
        match Condition::compile(source).map(|condition| condition.verdict(&self.given())) {
            Ok(Ok(holds)) => yes_if(holds),
            Ok(Err(gaps)) => Unknown(gaps.into_iter().collect()),
            Err(_) => invalid("condition"),
        }
    }

    /// Instants at which what the offer or the holding say can change by themselves.
    fn coming_instants(&self) -> Vec<Timestamp> {
        let mut instants = Vec::new();
        let starts =
            matches!(self.request.action, Action::Offer | Action::Activate | Action::Reactivate);
        if starts && !self.offer.window.is_empty() {
            instants.extend(self.offer.window.from);
            instants.extend(self.offer.window.until);
        }
        if let Attribute::Known(Holding {
            status: Attribute::Known(HoldingStatus::Active),
            term_end: Attribute::Known(end),
            ..
        }) = self.holding
        {
            instants.push(end);
        }
        if starts || self.request.action == Action::Renew {
            let has_ages = self.offer.min_age.is_some() || self.offer.max_age.is_some();
            if let Attribute::Known(born) = self.request.customer.date_of_birth
                && has_ages
            {
                // Somebody turns `age` on the first day on which they are that old.
                let turns = |age: i32| {
                    let year = i32::from(born.year()).checked_add(age)?;
                    let mut day = Date::new(i16::try_from(year).ok()?, born.month(), 1).ok()?;
                    while self::age(born, day).is_none_or(|had| had < age) {
                        day = day.tomorrow().ok()?;
                    }
                    Some(day)
                };
                // Before birth the date is invalid, and nothing else can be said.
                let days = if self.today() < born {
                    [turns(0), None]
                } else {
                    let least = self.offer.min_age.and_then(|age| turns(i32::from(age)));
                    [least, self.offer.max_age.and_then(|age| turns(i32::from(age) + 1))]
                };
                let midnight = |day: Date| day.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok();
                instants.extend(
                    days.into_iter().flatten().filter_map(midnight).map(|it| it.timestamp()),
                );
            }
            if let Some(Ok(condition)) = self.offer.condition.as_deref().map(Condition::compile) {
                instants.extend(condition.next_change(&self.given()));
            }
        }
        instants
    }
}

fn known_term<'t>(
    given: Attribute<&'t str>,
    is_known: impl Fn(&str) -> bool,
) -> Attribute<&'t str> {
    match given {
        Attribute::Known(text) if !is_known(text) => Attribute::Invalid,
        given => given,
    }
}

/// Birthdays had; `None` before birth.
fn age(born: Date, today: Date) -> Option<i32> {
    if today < born {
        return None;
    }
    let years = i32::from(today.year()) - i32::from(born.year());
    let before_birthday = (today.month(), today.day()) < (born.month(), born.day());
    Some(years - i32::from(before_birthday))
}
