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
    vocabularies: Vocabularies,
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
        let vocabularies = &rules.vocabularies;
        let outbound = set_of(&vocabularies.channels, |channel| {
            Vocabularies::OUTBOUND.contains(&channel.as_str())
        });
        let Vocabularies { segments, devices, channels } = vocabularies;
        let countries = rules.suspensions.values().flat_map(|it| &it.scope.countries).copied();
        let row_plan = RowPlan::new(segments.len(), channels.len(), devices.len(), countries);
        let required = rules.offers.values().flat_map(|offer| &offer.requires);
        let required = required.map(|name| (Arc::clone(name), Look::of(name))).collect();
        Self {
            vocabularies: vocabularies.clone(),
            segments: Names::new(segments.iter().map(Segment::shared).collect()),
            devices: Names::new(devices.iter().map(Device::shared).collect()),
            channels: Names::new(channels.iter().map(Channel::shared).collect()),
            outbound,
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
        set_of(&self.vocabularies.segments, |term| stated.contains(term))
    }

    pub(super) fn devices(&self, stated: &[Device]) -> u64 {
        set_of(&self.vocabularies.devices, |term| stated.contains(term))
    }

    pub(super) fn channels(&self, stated: &[Channel]) -> u64 {
        set_of(&self.vocabularies.channels, |term| stated.contains(term))
    }

    /// The first stated term that is in no list, if there is one.
    pub(super) fn first_unknown<'s>(&self, scope: &'s crate::domain::Scope) -> Option<&'s str> {
        let segment = scope.segments.iter().find(|term| !self.vocabularies.segments.contains(term));
        let device = scope.devices.iter().find(|term| !self.vocabularies.devices.contains(term));
        let channel = scope.channels.iter().find(|term| !self.vocabularies.channels.contains(term));
        segment
            .map(Segment::as_str)
            .or_else(|| device.map(Device::as_str))
            .or_else(|| channel.map(Channel::as_str))
    }
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

fn set_of<T>(list: &[T], belongs: impl Fn(&T) -> bool) -> u64 {
    list.iter()
        .enumerate()
        .filter(|(_, term)| belongs(term))
        .fold(0, |set, (place, _)| set | 1u64.checked_shl(place as u32).unwrap_or_default())
}
