//! What a suspension or an exemption shall no longer state, shared by `amend` and `edit`.

use super::exit::Failure;
use crate::wire::proto;

/// What can be left unstated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Clear {
    Until,
    ReviewBy,
    Message,
    Advisory,
    Grandfather,
    Country,
    PersonNexus,
    Segment,
    Holder,
    Relationship,
    Device,
    Channel,
    ProductClass,
    Customer,
}

/// Leaves these unstated.
pub(super) fn clear_suspension(suspension: &mut proto::Suspension, fields: &[Clear]) {
    let mut scope = suspension.scope.take().unwrap_or_default();
    for field in fields {
        match field {
            Clear::Until => suspension.until_time = None,
            Clear::ReviewBy => suspension.review_by = None,
            Clear::Message => suspension.customer_message = None,
            Clear::Advisory => suspension.advisories.clear(),
            Clear::Grandfather => suspension.grandfather = None,
            dimension => dimension.clear_in(&mut scope),
        }
    }
    suspension.scope = Some(scope);
}

/// The same of an exemption, which states whom it concerns and no more that could go.
pub(super) fn clear_exemption(
    exemption: &mut proto::Exemption,
    fields: &[Clear],
) -> Result<(), Failure> {
    use clap::ValueEnum as _;
    let mut scope = exemption.scope.take().unwrap_or_default();
    for field in fields {
        match field {
            Clear::Until
            | Clear::ReviewBy
            | Clear::Message
            | Clear::Advisory
            | Clear::Grandfather => {
                let name = field.to_possible_value().map(|value| value.get_name().to_owned());
                let name = name.unwrap_or_default();
                let what = format!("an exemption has no `{name}` that could go");
                return Err(Failure::usage(what));
            }
            dimension => dimension.clear_in(&mut scope),
        }
    }
    exemption.scope = Some(scope);
    Ok(())
}

impl Clear {
    /// Leaves a dimension unstated, if it is one.
    fn clear_in(self, scope: &mut proto::Scope) {
        match self {
            Self::Until | Self::ReviewBy | Self::Message | Self::Advisory | Self::Grandfather => {}
            Self::Country => scope.countries.clear(),
            Self::PersonNexus => scope.person_nexus.clear(),
            Self::Segment => scope.segments.clear(),
            Self::Holder => scope.holders.clear(),
            Self::Relationship => scope.relationships.clear(),
            Self::Device => scope.devices.clear(),
            Self::Channel => scope.channels.clear(),
            Self::ProductClass => scope.product_classes.clear(),
            Self::Customer => scope.customers.clear(),
        }
    }
}
