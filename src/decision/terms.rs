//! The closed lists of a rule set, as small numbers.

use super::names::{Look, Names};
use super::rows::RowPlan;
use crate::domain::{Attribute, Channel, Device, RuleSet, Segment, Vocabularies};
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use std::sync::Arc;

/// The closed lists, in the order of the rule set. A term's number is its place; the compiler
/// refuses lists of more than [`Vocabularies::MOST_TERMS`], so that a set of terms fits a word.
#[derive(Debug)]
pub(super) struct Terms {
    segments: Names,
    devices: Names,
    channels: Names,
    /// Which channels are outbound, one bit a channel.
    outbound: u64,
    row_plan: RowPlan,
    /// The bank's own attributes that offers require.
    required: IndexMap<Arc<str>, Look, FxBuildHasher>,
}

/// An attribute that an offer requires, by its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Required(u32);

impl Terms {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let Vocabularies { segments, devices, channels } = &rules.vocabularies;
        let countries = rules.suspensions.values().flat_map(|it| &it.scope.countries).copied();
        let row_plan = RowPlan::new(segments.len(), channels.len(), devices.len(), countries);
        let required = rules.offers.values().flat_map(|offer| &offer.requires);
        let required = required.map(|name| (Arc::clone(name), Look::of(name))).collect();
        let channels = Names::new(channels.iter().map(Channel::shared).collect());
        Self {
            segments: Names::new(segments.iter().map(Segment::shared).collect()),
            devices: Names::new(devices.iter().map(Device::shared).collect()),
            outbound: set_of(&channels, Vocabularies::OUTBOUND.into_iter()),
            channels,
            row_plan,
            required,
        }
    }

    /// The place of an attribute; `None` for one that no offer requires.
    pub(super) fn required(&self, name: &str) -> Option<Required> {
        self.required.get_index_of(name).and_then(|place| u32::try_from(place).ok()).map(Required)
    }

    /// The name of an attribute that an offer requires, and how it looks.
    pub(super) fn name_and_look(&self, required: Required) -> Option<(&Arc<str>, Look)> {
        self.required.get_index(required.0 as usize).map(|(name, look)| (name, *look))
    }

    pub(super) fn segment(&self, given: Attribute<&str>) -> Attribute<u8> {
        place(&self.segments, given)
    }

    pub(super) fn device(&self, given: Attribute<&str>) -> Attribute<u8> {
        place(&self.devices, given)
    }

    pub(super) fn channel(&self, given: Attribute<&str>) -> Attribute<u8> {
        place(&self.channels, given)
    }

    /// Where candidates keep the rows of each dimension.
    pub(super) fn row_plan(&self) -> &RowPlan {
        &self.row_plan
    }

    /// Whether the bank approaches the customer on this channel.
    pub(super) fn is_outbound(&self, channel: u8) -> bool {
        contains(self.outbound, channel)
    }

    pub(super) fn segments(&self, stated: &[Segment]) -> u64 {
        set_of(&self.segments, stated.iter().map(Segment::as_str))
    }

    pub(super) fn devices(&self, stated: &[Device]) -> u64 {
        set_of(&self.devices, stated.iter().map(Device::as_str))
    }

    pub(super) fn channels(&self, stated: &[Channel]) -> u64 {
        set_of(&self.channels, stated.iter().map(Channel::as_str))
    }

    /// The first stated term that is in no list, if there is one.
    pub(super) fn first_unknown<'s>(&self, scope: &'s crate::domain::Scope) -> Option<&'s str> {
        first_unknown(&self.segments, scope.segments.iter().map(Segment::as_str))
            .or_else(|| first_unknown(&self.devices, scope.devices.iter().map(Device::as_str)))
            .or_else(|| first_unknown(&self.channels, scope.channels.iter().map(Channel::as_str)))
    }
}

fn first_unknown<'t>(names: &Names, mut terms: impl Iterator<Item = &'t str>) -> Option<&'t str> {
    terms.find(|term| names.place(term).is_none())
}

/// Whether a set of terms, one bit a term, has this one.
pub(super) fn contains(set: u64, term: u8) -> bool {
    1u64.checked_shl(u32::from(term)).is_some_and(|bit| set & bit != 0)
}

fn place(names: &Names, given: Attribute<&str>) -> Attribute<u8> {
    match given {
        Attribute::Known(given) => names
            .place(given)
            .and_then(|place| u8::try_from(place).ok())
            .map_or(Attribute::Invalid, Attribute::Known),
        Attribute::Missing => Attribute::Missing,
        Attribute::Invalid => Attribute::Invalid,
    }
}

/// Those of the terms that are in a list, one bit a term.
fn set_of<'t>(names: &Names, terms: impl Iterator<Item = &'t str>) -> u64 {
    let places = terms.filter_map(|term| names.place(term));
    places.fold(0, |set, place| set | 1u64.checked_shl(place as u32).unwrap_or_default())
}
