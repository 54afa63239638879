// Before the first paint: a page that opens with a lesson keeps room for its question.
if (/[#&]lesson=/.test(location.hash)) document.documentElement.classList.add("with-lesson");
