// The fleet's page: light or dark as the reader's system is, by the style sheet that all pages share.
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
