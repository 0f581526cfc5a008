// One shop at a time; the choice is kept in the address, so that a link leads to a shop's team.
const shops = [...document.querySelectorAll("article.shop")];
const select = document.querySelector("#shop");
const shopOf = (target) => shops.find((shop) => shop.id === target.split("-")[0])?.id;
const show = (id) => {
    select.value = id;
    for (const shop of shops) shop.hidden = shop.id !== id;
};
if (shops.length > 0) {
    document.documentElement.classList.add("one-shop");
    select.closest("label").hidden = shops.length < 2;
    select.addEventListener("change", () => {
        show(select.value);
        history.replaceState(null, "", `#${select.value}`);
    });
    window.addEventListener("hashchange", () => {
        const shop = shopOf(location.hash.slice(1));
        if (shop) show(shop);
    });
    show(shopOf(location.hash.slice(1)) ?? shops[0].id);
}
