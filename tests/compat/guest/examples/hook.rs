//! The golden hook.

use mainstay_plugin::prelude::*;

struct Golden;

impl Hook for Golden {
    type Settings = NoSettings;

    fn on_event(_: NoSettings, event: &Event) -> Result<()> {
        log::info(format!("{event:?} {}", mainstay_golden::everything()));
        Ok(())
    }
}

mainstay_plugin::hook!(Golden);
