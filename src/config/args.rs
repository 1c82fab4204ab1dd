//! The flags of `serve`, made from the table of settings.
//!
//! Values are kept as text here and read with all others, so that a bad flag and a bad line in the
//! file are told together.

use super::setting::Setting;
use super::table::SETTINGS;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::path::PathBuf;

/// What the command line says about settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServeArgs {
    /// Whether this is a demonstration.
    pub demo: bool,
    /// Whether to begin a history in a shared store that holds none.
    pub begin_history: bool,
    /// The file to read settings from.
    pub config: Option<PathBuf>,
    /// Values given, by the name of their setting.
    pub(super) values: Vec<(&'static str, String)>,
}

impl ServeArgs {
    /// What a command says that takes some of the settings as flags of its own: values by the names of
    /// their settings.
    #[must_use]
    pub fn of(config: Option<PathBuf>, values: Vec<(&'static str, String)>) -> Self {
        Self { config, values, ..Self::default() }
    }

    /// The value that a setting's flag was given.
    pub(super) fn value(&self, setting: &Setting) -> Option<&str> {
        let given = self.values.iter().find(|(name, _)| *name == setting.name);
        given.map(|(_, value)| value.as_str())
    }
}

fn flag(setting: &Setting) -> Arg {
    let (variable, default) = (setting.variable(), setting.default_in_words());
    Arg::new(setting.name)
        .long(setting.flag())
        .value_name(if setting.form.contains(',') { "VALUE" } else { setting.form })
        .help(format!("{} [{variable}; default: {default}]", setting.effect.trim_end_matches('.')))
        .allow_hyphen_values(true)
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let demo = Arg::new("demo")
            .long("demo")
            .action(ArgAction::SetTrue)
            .help("Serve the Barclays rules of 2017 from a store of their own");
        let begin_history =
            Arg::new("begin-history").long("begin-history").action(ArgAction::SetTrue).help(
                "Begin a history in a shared store that holds none; else such a store is refused",
            );
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Read settings from a TOML file [OFFERGATE_CONFIG]");
        // Secrets are never given on a command line, where every user of the machine can read them.
        let open = SETTINGS.iter().filter(|setting| !setting.secret);
        command.arg(demo).arg(begin_history).arg(config).args(open.map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.demo = matches.get_flag("demo");
        self.begin_history = matches.get_flag("begin-history");
        self.config = matches.get_one::<PathBuf>("config").cloned();
        let open = SETTINGS.iter().filter(|setting| !setting.secret);
        let given = open.filter_map(|setting| {
            let value = matches.get_one::<String>(setting.name)?;
            Some((setting.name, value.clone()))
        });
        self.values = given.collect();
        Ok(())
    }
}
