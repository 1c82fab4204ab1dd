//! Plans the change from the rules in force to those that a file wants.
//!
//! What the file leaves out of the catalogue goes. Suspensions and exemptions that it leaves out
//! are kept, and said to be kept: a suspension is lifted and never deleted, and one that was made
//! by hand at night must survive the pipeline that applies the file in the morning. So must a lift:
//! a suspension that was lifted stays lifted, though the file does not say so.
//!
//! Whether the rules after the change make sense (a kept suspension of a vendor that goes) is for
//! [`check`](super::check::check) to say of `current.after(&plan.change)`; whether it may be made now,
//! for [`check_change`] to say.

use super::catalogue::{write_advisory, write_offer, write_product, write_vendor};
use super::export::inline;
use super::problem::{MOST_PROBLEMS, Problem};
use super::restrictions::{write_exemption, write_suspension};
use super::tree::Node;
use crate::domain::{
    ExemptionId, RuleChange, RuleEdit, RuleSet, Suspension, SuspensionId, Timestamp,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What has to change, and what stays although the file does not mention it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The steps: what is put in the order in which things refer to one another, then what goes in
    /// the opposite order.
    pub change: RuleChange,
    /// Suspensions in force, to come or over that the file does not mention.
    pub kept_suspensions: Vec<SuspensionId>,
    /// Exemptions that the file does not mention.
    pub kept_exemptions: Vec<ExemptionId>,
    /// What differs, in the order of the steps.
    pub differences: Vec<Difference>,
}

/// What one step changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The section of the rule file.
    pub section: &'static str,
    /// The id in it; empty for the vocabularies.
    pub id: String,
    /// What happens to it.
    pub kind: DifferenceKind,
    /// The fields that differ, as a rule file writes them.
    pub fields: Vec<FieldDifference>,
}

/// What happens to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It is new.
    Added,
    /// It stays, and differs.
    Changed,
    /// It goes.
    Removed,
}

impl DifferenceKind {
    /// The mark at the start of its line.
    #[must_use]
    pub fn mark(self) -> char {
        match self {
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '-',
        }
    }
}

/// A field before and after; `None` where it is not stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// The key.
    pub name: String,
    /// What it said.
    pub before: Option<String>,
    /// What it will say.
    pub after: Option<String>,
}

/// Plans the change from `current` to `wanted`.
#[must_use]
pub fn plan(current: &RuleSet, wanted: &RuleSet) -> Plan {
    let mut plan = Plan {
        change: RuleChange::default(),
        kept_suspensions: missing(&current.suspensions, &wanted.suspensions),
        kept_exemptions: missing(&current.exemptions, &wanted.exemptions),
        differences: Vec::new(),
    };
    if current.vocabularies != wanted.vocabularies {
        let write = super::document::write_all_vocabularies;
        let (before, after) = (write(&current.vocabularies), write(&wanted.vocabularies));
        let edit = RuleEdit::SetVocabularies(wanted.vocabularies.clone());
        plan.step(edit, Some(&before), Some(&after));
    }
    let (old, new) = (current, wanted);
    plan.put(&old.vendors, &new.vendors, write_vendor, RuleEdit::PutVendor);
    plan.put(&old.products, &new.products, write_product, RuleEdit::PutProduct);
    plan.put(&old.offers, &new.offers, write_offer, RuleEdit::PutOffer);
    plan.put(&old.advisories, &new.advisories, write_advisory, RuleEdit::PutAdvisory);
    let suspensions = still_lifted(&old.suspensions, &new.suspensions);
    plan.put(&old.suspensions, &suspensions, write_suspension, RuleEdit::PutSuspension);
    plan.put(&old.exemptions, &new.exemptions, write_exemption, RuleEdit::PutExemption);
    plan.remove(&old.offers, &new.offers, write_offer, RuleEdit::RemoveOffer);
    plan.remove(&old.products, &new.products, write_product, RuleEdit::RemoveProduct);
    plan.remove(&old.advisories, &new.advisories, write_advisory, RuleEdit::RemoveAdvisory);
    plan.remove(&old.vendors, &new.vendors, write_vendor, RuleEdit::RemoveVendor);
    plan
}

/// What stands in the way of making `change` at `now`: suspensions that may not become what it makes
/// of them. The problems carry paths.
#[must_use]
pub fn check_change(current: &RuleSet, change: &RuleChange, now: Timestamp) -> Vec<Problem> {
    let problem = |edit: &RuleEdit| {
        let RuleEdit::PutSuspension(wanted) = edit else { return None };
        let why = current.suspensions.get(&wanted.id)?.may_become(wanted, now).err()?;
        Some(Problem::new(format!("suspensions.{}.{}", wanted.id, why.field()), why.to_string()))
    };
    change.edits.iter().filter_map(problem).take(MOST_PROBLEMS).collect()
}

type Suspensions = BTreeMap<SuspensionId, Arc<Suspension>>;

/// The suspensions that are wanted, with the lifts that happened and that the file does not mention.
fn still_lifted(current: &Suspensions, wanted: &Suspensions) -> Suspensions {
    let lift = |(id, wanted): (&SuspensionId, &Arc<Suspension>)| {
        let lifted_at = current.get(id).and_then(|held| held.lifted_at);
        let suspension = match (wanted.lifted_at, lifted_at) {
            (None, Some(_)) => Arc::new(Suspension { lifted_at, ..(**wanted).clone() }),
            _ => Arc::clone(wanted),
        };
        (id.clone(), suspension)
    };
    wanted.iter().map(lift).collect()
}

/// The ids that `wanted` does not have.
fn missing<I: Ord + Clone, T>(current: &BTreeMap<I, T>, wanted: &BTreeMap<I, T>) -> Vec<I> {
    current.keys().filter(|id| !wanted.contains_key(id)).cloned().collect()
}

impl Plan {
    /// Puts what is new or differs.
    fn put<I: Ord, T: PartialEq>(
        &mut self,
        current: &BTreeMap<I, Arc<T>>,
        wanted: &BTreeMap<I, Arc<T>>,
        write: fn(&T) -> Node,
        edit: fn(Arc<T>) -> RuleEdit,
    ) {
        for (id, thing) in wanted {
            let before = current.get(id);
            if before != Some(thing) {
                let before = before.map(|before| write(before));
                self.step(edit(Arc::clone(thing)), before.as_ref(), Some(&write(thing)));
            }
        }
    }

    /// Removes what is wanted no more.
    fn remove<I: Ord + Clone, T>(
        &mut self,
        current: &BTreeMap<I, Arc<T>>,
        wanted: &BTreeMap<I, Arc<T>>,
        write: fn(&T) -> Node,
        edit: fn(I) -> RuleEdit,
    ) {
        for (id, thing) in current.iter().filter(|(id, _)| !wanted.contains_key(id)) {
            self.step(edit(id.clone()), Some(&write(thing)), None);
        }
    }

    fn step(&mut self, edit: RuleEdit, before: Option<&Node>, after: Option<&Node>) {
        let (section, id) = edit.subject();
        let kind = match (before, after) {
            (None, _) => DifferenceKind::Added,
            (Some(_), Some(_)) => DifferenceKind::Changed,
            (Some(_), None) => DifferenceKind::Removed,
        };
        let fields = differences(before, after);
        self.differences.push(Difference { section, id: id.to_owned(), kind, fields });
        self.change.edits.push(edit);
    }
}

/// The keys whose values differ, those of `after` first.
fn differences(before: Option<&Node>, after: Option<&Node>) -> Vec<FieldDifference> {
    let value = |node: Option<&Node>, key: &str| node?.get(key).map(|entry| inline(&entry.value));
    let keys = |node: Option<&Node>| -> Vec<String> {
        node.map(|node| node.keys().map(str::to_owned).collect()).unwrap_or_default()
    };
    let mut names = keys(after);
    names.extend(keys(before).into_iter().filter(|key| value(after, key).is_none()));
    let difference = |name: String| FieldDifference {
        before: value(before, &name),
        after: value(after, &name),
        name,
    };
    names.into_iter().map(difference).filter(|field| field.before != field.after).collect()
}

impl fmt::Display for Plan {
    /// Writes a line a thing and a line a field, then what is kept, then how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            let Difference { section, id, kind, fields } = difference;
            let dot = if id.is_empty() { "" } else { "." };
            writeln!(f, "{} {section}{dot}{id}", kind.mark())?;
            for FieldDifference { name, before, after } in fields {
                match (before, after) {
                    (Some(before), Some(after)) => writeln!(f, "    {name}: {before} -> {after}")?,
                    (None, Some(after)) if *kind == DifferenceKind::Added => {
                        writeln!(f, "    {name}: {after}")?;
                    }
                    (None, Some(after)) => writeln!(f, "    {name}: (not stated) -> {after}")?,
                    (Some(before), None) if *kind == DifferenceKind::Changed => {
                        writeln!(f, "    {name}: {before} -> (not stated)")?;
                    }
                    (Some(_) | None, None) => {}
                }
            }
        }
        for id in &self.kept_suspensions {
            writeln!(
                f,
                "= suspensions.{id}: kept; the file does not mention it (lift it to end it)"
            )?;
        }
        for id in &self.kept_exemptions {
            writeln!(f, "= exemptions.{id}: kept; the file does not mention it")?;
        }
        let count = |kind| self.differences.iter().filter(|one| one.kind == kind).count();
        write!(
            f,
            "{} to add, {} to change, {} to remove, {} kept",
            count(DifferenceKind::Added),
            count(DifferenceKind::Changed),
            count(DifferenceKind::Removed),
            self.kept_suspensions.len() + self.kept_exemptions.len()
        )
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::{check, read};
    use super::*;

    const BEFORE: &str = "
vendors: {acme: {name: Acme}, old: {name: Old}}
products: {shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}}
offers: {plain: {product: shield, min_age: 16}}
suspensions:
  by-hand: {target: {vendor: old}, actions: [OFFER], from: \"2026-01-01T00:00:00Z\", ticket: CHG-9,
            reason: Made at night.}
";
    const AFTER: &str = "
vendors: {acme: {name: Acme Limited, country: GB}, new: {name: New, parent: acme}}
products: {shield: {name: Shield, class: ANTIVIRUS, vendors: [acme, new], components: []}}
offers: {plain: {product: shield}}
";

    #[test]
    fn a_plan_shows_every_field_that_differs_and_keeps_what_was_suspended_by_hand() {
        let (current, wanted) = (read(BEFORE).unwrap(), read(AFTER).unwrap());
        let plan = plan(&current, &wanted);
        assert_eq!(
            plan.to_string(),
            "\
~ vendors.acme
    name: Acme -> Acme Limited
    country: (not stated) -> GB
+ vendors.new
    name: New
    parent: acme
~ products.shield
    vendors: [acme] -> [acme, new]
~ offers.plain
    min_age: 16 -> (not stated)
- vendors.old
= suspensions.by-hand: kept; the file does not mention it (lift it to end it)
1 to add, 3 to change, 1 to remove, 1 kept"
        );
        let problems = check(&current.after(&plan.change));
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            ["suspensions.by-hand.target.vendor"],
            "what is kept can stand in the way"
        );
    }

    #[test]
    fn a_lift_that_the_file_does_not_mention_stands() {
        let current =
            read(&BEFORE.replace("ticket:", "lifted_at: \"2026-02-01T00:00:00Z\", ticket:"));
        let wanted = read(&BEFORE.replace("Made at night", "Made by night")).unwrap();
        let plan = plan(&current.unwrap(), &wanted);
        assert_eq!(
            plan.to_string(),
            "~ suspensions.by-hand\n    reason: Made at night. -> Made by night.\n0 to add, 1 to \
             change, 0 to remove, 0 kept"
        );
    }

    #[test]
    fn vocabularies_that_differ_are_a_step_of_their_own() {
        let plan = plan(&read("{}").unwrap(), &read("vocabularies: {devices: [PHONE]}").unwrap());
        assert_eq!(
            plan.to_string(),
            "~ vocabularies\n    devices: [DESKTOP, MOBILE] -> [PHONE]\n0 to add, 1 to change, 0 to remove, 0 kept"
        );
    }
}
