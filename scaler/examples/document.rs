//! Writes what is generated in `docs/scaling.md` and `docs/scaling/`: run it from the workspace's folder.

use std::path::Path;
use std::{fs, io};

use scaler::document::{self, PLOTS};

fn main() -> io::Result<()> {
    let docs = Path::new("docs");
    let page = docs.join("scaling.md");
    let reports = document::reports();
    let text = document::insert(&fs::read_to_string(&page)?, &reports).ok_or_else(|| {
        io::Error::other(format!(
            "{} has lost its marks {} and {}",
            page.display(),
            document::BEGIN,
            document::END
        ))
    })?;
    fs::write(page, text)?;
    fs::create_dir_all(docs.join(PLOTS))?;
    for (name, plot) in document::plots(&reports) {
        fs::write(docs.join(PLOTS).join(name), plot)?;
    }
    print!("{}", scaler::render::table(&reports));
    Ok(())
}
