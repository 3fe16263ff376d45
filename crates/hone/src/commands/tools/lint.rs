//! `hone tools lint`.

use super::source::Listing;
use crate::console::{print, print_json, say, table};
use anyhow::bail;
use hone_tool::{Level, ToolSpec, estimated_tokens, lint};
use hone_view::printable;

/// Tell the defects. Fails if there are errors.
pub fn run(listing: &Listing, json: bool) -> anyhow::Result<()> {
    let specs: Vec<ToolSpec> = listing.tools.iter().map(|told| told.spec.clone()).collect();
    let findings = lint(&specs);
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    let tokens: usize = specs.iter().map(estimated_tokens).sum();
    if json {
        findings.iter().try_for_each(print_json)?;
        print_json(&serde_json::json!({
            "tools": specs.len(), "errors": errors, "warnings": warnings, "estimated_tokens": tokens,
        }))?;
    } else if !findings.is_empty() {
        let mut rows = vec![["tool", "level", "at", "defect"].map(str::to_owned).to_vec()];
        rows.extend(findings.into_iter().map(|finding| {
            let level = crate::episode_text::name(&finding.level);
            vec![finding.tool, level, finding.at, finding.message]
        }));
        print(table(&rows))?;
    }
    say(printable(&format!(
        "{} tools of {}: {errors} errors, {warnings} warnings; about {tokens} tokens in each request that shows them all \
         (4 bytes a token)",
        specs.len(),
        listing.about
    )));
    if errors > 0 {
        bail!("{errors} defects make tools unusable; mend them and lint again");
    }
    Ok(())
}
