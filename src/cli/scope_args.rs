//! Flags for the dimensions of a scope, shared by `suspend`, `amend` and `exempt`.
//!
//! Values are passed on as they are typed where the rules decide what is allowed (segments,
//! devices, channels, product classes): the server names the allowed ones.

use crate::domain::{
    Action, Channel, Country, CustomerId, Device, Holder, PersonNexus, ProductClass, Relationship,
    Scope, Segment,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Whom a rule concerns. A dimension that is not given matches everybody.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Scope (what is left out matches all)")]
pub(super) struct ScopeArgs {
    /// Country of residence, such as GB
    #[arg(long = "country", value_name = "CODE", value_delimiter = ',', value_parser = country)]
    countries: Vec<Country>,

    /// Person that a country's law follows everywhere; with --country: either of the two
    #[arg(long, value_delimiter = ',', value_parser = one_of(PersonNexus::ALL, PersonNexus::name))]
    person_nexus: Vec<PersonNexus>,

    /// Customer segment, such as RETAIL
    #[arg(long = "segment", value_name = "SEGMENT", value_delimiter = ',')]
    segments: Vec<Segment>,

    /// New or existing holders of the product
    #[arg(long = "holder", value_delimiter = ',', value_parser = one_of(Holder::ALL, Holder::name))]
    holders: Vec<Holder>,

    /// New or existing customers of the bank
    #[arg(
        long = "relationship",
        value_delimiter = ',',
        value_parser = one_of(Relationship::ALL, Relationship::name)
    )]
    relationships: Vec<Relationship>,

    /// Kind of device, such as MOBILE
    #[arg(long = "device", value_name = "DEVICE", value_delimiter = ',')]
    devices: Vec<Device>,

    /// Way to reach the customer, such as EMAIL
    #[arg(long = "channel", value_name = "CHANNEL", value_delimiter = ',')]
    channels: Vec<Channel>,

    /// Kind of product, such as ANTIVIRUS
    #[arg(long = "product-class", value_name = "CLASS", value_delimiter = ',')]
    product_classes: Vec<ProductClass>,

    /// One named customer
    #[arg(long = "customer", value_name = "ID", value_parser = customer)]
    customers: Vec<CustomerId>,
}

impl ScopeArgs {
    /// The scope, with these actions.
    pub(super) fn scope(&self, actions: Vec<Action>) -> Scope {
        Scope {
            actions: actions.into(),
            countries: self.countries.iter().cloned().collect(),
            person_nexus: self.person_nexus.iter().cloned().collect(),
            segments: self.segments.iter().cloned().collect(),
            holders: self.holders.iter().cloned().collect(),
            relationships: self.relationships.iter().cloned().collect(),
            devices: self.devices.iter().cloned().collect(),
            channels: self.channels.iter().cloned().collect(),
            product_classes: self.product_classes.iter().cloned().collect(),
            customers: self.customers.iter().cloned().collect(),
        }
    }
}

/// A parser that takes the names of a closed list, lower case too, and shows them in the help.
pub(super) fn one_of<T, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.map(name)).try_map(move |typed| {
        all.into_iter().find(|each| name(*each) == typed).ok_or("not one of the allowed names")
    })
}

fn country(text: &str) -> Result<Country, String> {
    Country::parse(text).map_err(|error| error.to_string())
}

fn customer(text: &str) -> Result<CustomerId, String> {
    CustomerId::parse(text).map_err(|error| error.to_string())
}
