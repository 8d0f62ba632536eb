//! Outputs of a KWin that runs.

use lumen_host::display::kwin;
use lumen_host::frame::Mode;

use crate::bed::{Bed, next_where, wait_for};
use crate::painter::{ENOUGH, Painter, number_of, outputs, psnr};

#[test]
#[ignore = "needs KWin 6.7: run by vm-tests/desktops"]
fn two_outputs_of_one_kwin_have_their_own_modes_and_pictures_and_go_with_their_sessions() {
    let desktop = Bed::own(kwin::start, Mode::new(1280, 720, 60));
    assert_eq!(outputs(&desktop.socket()).len(), 1);
    let modes = [("sofa", Mode::new(1024, 600, 60)), ("kitchen", Mode::new(1366, 768, 60))];
    let mut further = modes.map(|(identity, mode)| {
        let compositor = desktop.further(kwin::start, identity, mode);
        let all = outputs(&desktop.socket());
        println!("with {identity}: {all:?}");
        let name = all.iter().find(|output| output.name.contains(identity)).expect("a new output").name.clone();
        (compositor, name, mode)
    });
    let painters = further.each_ref().map(|(_, name, _)| Painter::start(&desktop.socket(), Some(name)));
    for (compositor, name, mode) in &mut further {
        let mut capture = compositor.capture().expect("it is there");
        let frame = next_where(&mut *capture, "the program of this output", |image| {
            (image.width, image.height) == (mode.width, mode.height)
                && number_of(image).is_some_and(|number| psnr(image, number) > ENOUGH)
        });
        let number = number_of(&frame.image).expect("a number");
        println!("{name} {mode:?}: picture {number}: {:.1} dB", psnr(&frame.image, number));
    }
    drop(painters);
    for (left, (compositor, name, _)) in further.into_iter().enumerate() {
        drop(compositor);
        wait_for("the output to go", || {
            let all = outputs(&desktop.socket());
            all.len() == 2 - left && all.iter().all(|output| output.name != name)
        });
    }
    desktop.ends();
}
