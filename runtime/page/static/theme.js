// Before the first paint, so that nothing flashes: the colours that this browser was told to use.
try {
  const theme = localStorage.getItem("patchedge.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* storage is off: the browser's own choice */ }
