//! Flags for what a suspension states, shared by `suspend`, `amend`, `edit` and `preview`.

use super::exit::Failure;
use super::instants::{ZoneArgs, day};
use super::scope_args::{ScopeArgs, one_of};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::{
    Action, AdvisoryId, ComponentReach, Date, OfferId, ProductId, Reach, SuspensionId, VendorId,
};
use crate::wire::{proto, scope};
use jiff::tz::Offset;
use proto::target::Target;

/// What a bank stops when it stops giving a product and lets holders go on: what Barclays did on
/// 2 December 2017. `UPDATE` and `USE` are left alone unless they are named.
const DEFAULT_ACTIONS: [Action; 4] =
    [Action::Offer, Action::Activate, Action::Reactivate, Action::Renew];

/// Actions that a suspension can stop. `NOTIFY` is never gated.
const GATED: [Action; 6] = [
    Action::Offer,
    Action::Activate,
    Action::Reactivate,
    Action::Renew,
    Action::Update,
    Action::Use,
];

/// What kind of thing is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// A legal entity, and whom --reach reaches.
    Vendor,
    /// One product, in all its offers.
    Product,
    /// One offer.
    Offer,
}

/// What a suspension states.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SuspensionArgs {
    /// Action to stop; repeat for several
    #[arg(
        long = "action",
        value_delimiter = ',',
        value_parser = one_of(GATED, Action::name),
        value_name = "ACTION"
    )]
    pub(super) actions: Vec<Action>,

    #[command(flatten)]
    pub(super) scope: ScopeArgs,

    /// First instant in force
    #[arg(long, value_name = "INSTANT", help_heading = "Time")]
    pub(super) from: Option<String>,

    /// First instant no longer in force; without it the suspension is open
    #[arg(long, value_name = "INSTANT", help_heading = "Time")]
    pub(super) until: Option<String>,

    #[command(flatten)]
    pub(super) zone: ZoneArgs,

    /// Day by which people look at it again; decides nothing
    #[arg(long, value_name = "DATE", value_parser = day, help_heading = "Time")]
    review_by: Option<Date>,

    /// How far a vendor suspension follows ownership [default: GROUP, the safe side]
    #[arg(long, value_parser = one_of(Reach::ALL, Reach::name))]
    reach: Option<Reach>,

    /// Whether components of the vendor count [default: INCLUDE, the safe side]
    #[arg(long, value_parser = one_of(ComponentReach::ALL, ComponentReach::name))]
    components: Option<ComponentReach>,

    /// Publication that it rests on, by its id in the rules
    #[arg(long = "advisory", value_name = "ID", value_delimiter = ',')]
    advisories: Vec<AdvisoryId>,

    /// What the customer may read
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

impl SuspensionArgs {
    /// Puts what was given into `suspension`; what was not given stays as it is there.
    pub(super) fn put_into(&self, suspension: &mut proto::Suspension) -> Result<(), Failure> {
        if let Some(from) = self.zone.read_wire("--from", self.from.as_ref())? {
            suspension.from_time = Some(from);
        }
        if let Some(until) = self.zone.read_wire("--until", self.until.as_ref())? {
            suspension.until_time = Some(until);
        }
        if let Some(day) = self.review_by {
            suspension.review_by = Some(day.to_string());
        }
        if let Some(reach) = self.reach {
            suspension.set_reach(match reach {
                Reach::EntityOnly => proto::Reach::EntityOnly,
                Reach::Descendants => proto::Reach::Descendants,
                Reach::Group => proto::Reach::Group,
            });
        }
        if let Some(components) = self.components {
            suspension.set_components(match components {
                ComponentReach::Include => proto::ComponentReach::Include,
                ComponentReach::Exclude => proto::ComponentReach::Exclude,
            });
        }
        if !self.advisories.is_empty() {
            suspension.advisories = self.advisories.iter().map(ToString::to_string).collect();
        }
        if let Some(text) = &self.message {
            let message =
                proto::CustomerMessage { text: text.clone(), ..proto::CustomerMessage::default() };
            suspension.customer_message = Some(message);
        }
        let given = scope::write(&self.scope.scope(self.actions.clone()));
        let stated = suspension.scope.get_or_insert_default();
        replace_given(stated, given);
        Ok(())
    }

    /// The same into an exemption, of what that has in common with a suspension.
    pub(super) fn put_into_exemption(
        &self,
        exemption: &mut proto::Exemption,
    ) -> Result<(), Failure> {
        for (flag, is_given) in [
            ("--reach", self.reach.is_some()),
            ("--components", self.components.is_some()),
            ("--review-by", self.review_by.is_some()),
            ("--advisory", !self.advisories.is_empty()),
            ("--message", self.message.is_some()),
        ] {
            if is_given {
                return Err(Failure::usage(format_args!("{flag} is for suspensions")));
            }
        }
        if let Some(from) = self.zone.read_wire("--from", self.from.as_ref())? {
            exemption.from_time = Some(from);
        }
        if let Some(until) = self.zone.read_wire("--until", self.until.as_ref())? {
            exemption.until_time = Some(until);
        }
        let given = scope::write(&self.scope.scope(self.actions.clone()));
        replace_given(exemption.scope.get_or_insert_default(), given);
        Ok(())
    }

    /// The day, in UTC, on which it starts; today when nothing was said.
    pub(super) fn first_day(&self) -> Result<Date, Failure> {
        let from = match &self.from {
            Some(text) => self.zone.read("--from", text)?,
            None => SystemClock.wall(),
        };
        Ok(Offset::UTC.to_datetime(from).date())
    }

    /// Whether the actions are the default ones.
    pub(super) fn has_default_actions(&self) -> bool {
        self.actions.is_empty()
    }
}

/// A new suspension of one target, with the default actions where none were given.
pub(super) fn new_suspension(
    kind: Kind,
    target: &str,
    args: &SuspensionArgs,
) -> Result<proto::Suspension, Failure> {
    let mut suspension = proto::Suspension {
        target: Some(proto::Target { target: Some(wire_target(kind, target)?) }),
        ..proto::Suspension::default()
    };
    args.put_into(&mut suspension)?;
    if args.has_default_actions() {
        let actions = DEFAULT_ACTIONS.map(|action| scope::write_action(action).into());
        suspension.scope.get_or_insert_default().actions = actions.into();
    }
    Ok(suspension)
}

fn wire_target(kind: Kind, id: &str) -> Result<Target, Failure> {
    let id = id.to_owned();
    let (target, checked) = match kind {
        Kind::Vendor => (Target::Vendor(id.clone()), VendorId::parse(&id).map(drop)),
        Kind::Product => (Target::Product(id.clone()), ProductId::parse(&id).map(drop)),
        Kind::Offer => (Target::Offer(id.clone()), OfferId::parse(&id).map(drop)),
    };
    checked.map_err(|error| {
        Failure::usage(format_args!("`{id}` is no id"))
            .because(error)
            .help("`offergate find TEXT` finds ids by name")
    })?;
    Ok(target)
}

/// An id for a suspension that was given none: its target and its first day.
pub(super) fn derived_id(target: &str, day: Date) -> Result<String, Failure> {
    // The day takes 11 characters of the 64 that an id may have.
    let target: String = target.chars().take(53).collect();
    let id = format!("{target}-{day}");
    SuspensionId::parse(&id)
        .map_err(|error| Failure::usage("no id can be derived: say --id").because(error))?;
    Ok(id)
}

/// Dimensions that were given replace those that were stated.
fn replace_given(scope: &mut proto::Scope, given: proto::Scope) {
    fn newer<T>(old: &mut Vec<T>, given: Vec<T>) {
        if !given.is_empty() {
            *old = given;
        }
    }
    newer(&mut scope.actions, given.actions);
    newer(&mut scope.countries, given.countries);
    newer(&mut scope.person_nexus, given.person_nexus);
    newer(&mut scope.segments, given.segments);
    newer(&mut scope.holders, given.holders);
    newer(&mut scope.relationships, given.relationships);
    newer(&mut scope.devices, given.devices);
    newer(&mut scope.channels, given.channels);
    newer(&mut scope.product_classes, given.product_classes);
    newer(&mut scope.customers, given.customers);
}
