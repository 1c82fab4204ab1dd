//! Scripts: each is one atomic step on the server.

/// A script's text, and the name that the server knows it by.
pub(crate) struct Script {
    pub(crate) text: &'static str,
    pub(crate) hash: String,
}

impl Script {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// Names scripts, each put together of files in the folder `scripts` beside the file that says this.
macro_rules! scripts {
    ($($(#[doc = $doc:literal])* $name:ident = [$($part:literal),+];)*) => {
        $($(#[doc = $doc])*
        pub(super) static $name: std::sync::LazyLock<$crate::redis::Script> = std::sync::LazyLock::new(|| {
            let text = concat!($(include_str!(concat!("scripts/", $part, ".lua")), "\n",)+);
            $crate::redis::Script::new(text)
        });)*
    };
}

pub(crate) use scripts;
