"use strict";
const configs = gunzip("configs-gzip").then(JSON.parse);
document.querySelectorAll(".config").forEach((part, index) => part.addEventListener("toggle", async () => {
  const text = document.createElement("pre");
  text.tabIndex = 0;
  try {
    text.textContent = (await configs)[index];
  } catch (error) {
    text.textContent = `The configs need a browser from 2023 or later (${error.message}); see config.yaml.`;
  }
  if (part.children.length === 1) part.append(text);
}));
