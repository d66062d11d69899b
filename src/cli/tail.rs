//! `ilagent tail`, as written on the command line.

use crate::queue::Wanted;
use crate::topic::check_filter;
use argh::{ArgsInfo, FromArgs};

/// Follow messages as they pass through the running agent, one line each.
#[derive(ArgsInfo, FromArgs)]
pub(super) struct Tail {
    /// only what this source brings, such as http or 'mqtt plant'
    #[argh(option, arg_name = "NAME")]
    source: Option<String>,
    /// only what is for this sink, such as ilert or 'mqtt cloud'
    #[argh(option, arg_name = "NAME")]
    sink: Option<String>,
    /// only topics that this filter matches, such as 'plant/+/alarms'
    #[argh(option, arg_name = "FILTER")]
    topic: Option<String>,
}

impl Tail {
    pub(super) fn wanted(self) -> Result<Wanted, String> {
        let Tail { source, sink, topic } = self;
        if let Some(filter) = &topic {
            check_filter(filter).map_err(|why| format!("`--topic`: {why}"))?;
        }
        Ok(Wanted { source, sink, topic })
    }
}
