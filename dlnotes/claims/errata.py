"""Where the notes' print and the mathematics disagree, and what shows it.

The library follows the mathematics. Each item says its kind, and whether the book that the notes follow
prints the same. Those that numbers can show are shown in ``tests/claims/test_errata.py``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from dlnotes.claims.sources import BOOK as _BOOK

_SHOWN = "tests/claims/test_errata.py"


Kind = Literal["translation", "print", "mathematics", "too strong"]
"""A slip of translation, of the pen, an error of mathematics, or a sentence that says more than is known."""


class Measured(NamedTuple):
    """A measured part of a claim that tests what is said to be right.

    Attributes:
      row: of the notes.
      part: name of the part.
      verdict: that supports the correction: "fails" where the part is the printed sentence.
    """

    row: str
    part: str
    verdict: Literal["holds", "fails"] = "holds"

    def __str__(self) -> str:
        return f"{self.row}, part “{self.part}” ({self.verdict})"


class Erratum(NamedTuple):
    """One place.

    Attributes:
      section: chapter, a key of `dlnotes.claims.rows.SECTIONS`.
      kind: see `Kind`.
      printed: the notes' words.
      correct: what is right, and why.
      evidence: measured parts of claims, test files, or papers.
      in_book: whether the book that the notes follow prints the same.
    """

    section: str
    kind: Kind
    printed: str
    correct: str
    evidence: tuple[str | Measured, ...]
    in_book: bool = False

    def kind_text(self) -> str:
        """Its kind in words, and whether the book has it too."""
        return f"{KINDS[self.kind]}; the book {'prints the same' if self.in_book else 'does not have it'}."


KINDS: dict[Kind, str] = {
    "translation": "A slip of translation",
    "print": "A slip of print",
    "mathematics": "An error of mathematics",
    "too strong": "More than is known",
}


ERRATA: tuple[Erratum, ...] = (
    Erratum(
        "F1",
        "translation",
        "redes neuronales profundas retroalimentadas o feedforward neural networks",
        "Retroalimentación is Spanish for feedback, which the same paragraph says these networks lack: "
        "feedforward is prealimentada.",
        (f"{_BOOK}, ch. 6",),
    ),
    Erratum(
        "F1",
        "translation",
        "parámetros θ que se usa para aprender θ de una gran clase de funciones",
        "What is learned from the class of functions is φ; θ are the parameters by which it is learned.",
        (f"{_BOOK}, ch. 6",),
    ),
    Erratum(
        "F1",
        "translation",
        "seguida de una función lineal no fija denominada función de activación",
        "A fixed non-linear function («no lineal fija»). The word order turns it round: with a linear one "
        "the network would stay linear, as the notes themselves show just above.",
        (f"{_BOOK}, 6.1", _SHOWN, Measured("F1.2", "linear hidden layer")),
    ),
    Erratum(
        "F1",
        "print",
        "c = [0 −1; 0 −1; 0 −1; 0 −1]",
        "c is the vector (0, −1)ᵀ, one bias per unit, as in h = g(Wᵀx + c). Printed is 1cᵀ, its copy for "
        "each of the four examples; as parameters it would be eight numbers instead of two.",
        (_SHOWN, Measured("F1.3", "every matrix")),
    ),
    Erratum(
        "F1",
        "translation",
        "la solución era un mínimo global de la función de pérdida, de modo que convergería a ese punto",
        "Gradient descent could converge to it. Being a global minimum does not make it the one that is "
        "reached: some starts end in worse stationary points.",
        (f"{_BOOK}, 6.1", Measured("F1.4", "depends on the start")),
    ),
    Erratum(
        "F2",
        "mathematics",
        "Σ log p = −m log(σ) − (m/2) log(2π) − Σ ‖ŷ − y‖²/2σ² ⇒ const − (1/const) Σ ‖ŷ − y‖²",
        "For y of d elements the constants are −md log σ − (md/2) log 2π; as printed they hold only for d = "
        "1, while the norm says that y is a vector. The two «const» are different numbers: the second is "
        "2σ².",
        (_SHOWN, Measured("F2.3", "the constant")),
        in_book=True,
    ),
    Erratum(
        "F2",
        "mathematics",
        "J(θ) = ½ lim m→∞ (MSE_train) + const",
        "No limit: J is an expectation under p̂_data, the m training examples, so J = ½ MSE_train + const "
        "exactly (with σ = 1). With the limit it would be the cost on the true distribution, p_data.",
        (_SHOWN, Measured("F2.3", "the constant")),
    ),
    Erratum(
        "F2",
        "print",
        "especificar un modelo p_model(y|x) automáticamente determina una función de coste log[p(y|x)]",
        "The cost is −log p(y|x). Without the sign, minimizing it would make the data as unlikely as "
        "possible.",
        (f"{_BOOK}, 6.2.1",),
        in_book=True,
    ),
    Erratum(
        "F2",
        "mathematics",
        "softplus, la cual se suele utilizar para obtener el parámetro de varianza σ",
        "σ is the standard deviation; the variance is σ². Softplus makes either positive, but they are not "
        "the same model output.",
        (f"{_BOOK}, 3.10",),
    ),
    Erratum(
        "F2",
        "print",
        "softmax(z_i) = exp(z_i) / Σ_j exp(z_j)",
        "softmax(z)_i: an element of a function of the whole vector. Of z_i alone it is not a function, "
        "since the other z_j change it.",
        (f"{_BOOK}, 6.2.2.3",),
    ),
    Erratum(
        "F2",
        "translation",
        "como este término no se satura (al ser lineal), el aprendizaje puede proceder, aunque el segundo "
        "término sea muy pequeño",
        "Small is the part of z_i in the second term, not the term: log Σ exp(z_j) ≥ max z_j, so it is never "
        "less than the first.",
        (_SHOWN, f"{_BOOK}, 6.2.2.3"),
    ),
    Erratum(
        "F2",
        "print",
        "softmax(z_i(x_i; θ)) ≈ Σ_j 1[y⁽ʲ⁾=i, x⁽ʲ⁾=x] / Σ_j 1[x⁽ʲ⁾=x]",
        "softmax(z(x; θ))_i: i counts classes, not examples, and the right side asks about one input x.",
        (f"{_BOOK}, 6.2.2.3",),
    ),
    Erratum(
        "F2",
        "print",
        "es invariante al añadir un vector escalar al vector de insumos: softmax(z) = softmax(z + c), c in "
        "bold",
        "Only for the same scalar added to every element, z + c·1. For another vector c the output changes.",
        (_SHOWN, Measured("F2.8", "invariant")),
    ),
    Erratum(
        "F2",
        "translation",
        "el cuadrado […] causaría que, para valores cerca de cero, el gradiente desapareciera",
        "The gradient through the square, d(σ²)/dσ = 2σ, vanishes near zero; the book says that. The "
        "gradient of the cost does not: with residual r, d/dσ [log σ + r²/2σ²] = 1/σ − r²/σ³ grows without "
        "bound as σ → 0, because the other factors grow faster than 2σ falls.",
        (
            _SHOWN,
            Measured("F2.9", "gradient of the square"),
            Measured("F2.9", "gradient of the likelihood", "fails"),
        ),
    ),
    Erratum(
        "F2",
        "mathematics",
        "una parametrización que garantiza que la matriz de covarianza predicha es definida positiva, […] "
        "una matriz cuadrada no restringida B: Σ(x) = B(x)Bᵀ(x)",
        "BBᵀ of an unrestricted B is only positive semi-definite; it is definite when B is invertible. A "
        "triangular B with a positive diagonal guarantees that, and makes B unique.",
        (_SHOWN,),
        in_book=True,
    ),
    Erratum(
        "F3",
        "too strong",
        "fijar todos los elementos de b a un número positivo pequeño como 0.1. Esto hace muy probable que la "
        "ReLU esté activa inicialmente para la mayoría de insumos",
        "A unit with pre-activations of standard deviation s about its bias is active with probability "
        "Φ(0.1/s): 53% for He's start (s = √2), 54% for s = 1. It takes s ≤ 0.06 to reach 95%: very small "
        "weights.",
        (_SHOWN, Measured("F3.1", "active on most inputs, He's weights", "fails")),
        in_book=True,
    ),
    Erratum(
        "F3",
        "translation",
        "una capa maxout con 2 unidades puede aprender a implementar la misma función que una unidad con "
        "ReLU, […] una leaky ReLU o con una ReLU paramétrica",
        "One unit with two pieces, k = 2: max(z, αz). It is a parametric ReLU only while α ≤ 1, which the "
        "book does not say either: above 1 that is min(z, αz), concave, and a maximum of linear pieces is "
        "convex.",
        (_SHOWN, f"{_BOOK}, 6.3.1", Measured("F3.3", "two pieces")),
    ),
    Erratum(
        "F3",
        "translation",
        "k vectores de n elementos en vez de solo 1, de modo que las unidades necesitan más regularización "
        "si el conjunto de entrenamiento es grande y el número de piezas por capa se mantiene bajo",
        "The opposite: they need more regularization than ReLU, and can do without if the training set is "
        "large and the pieces per unit are few. The vectors are as long as x; n is the length of z.",
        (f"{_BOOK}, 6.3.1", "Cai, Shi & Liu 2013", Measured("F3.4b", "less than at few images")),
    ),
    Erratum(
        "F3",
        "too strong",
        "las unidades maxout tienen algo de redundancia que les ayuda a resistir el fenómeno de olvido "
        "catastrófico",
        "The study that is cited finds maxout the only activation function that is among the best on every "
        "pair of tasks. It does not test whether redundancy is the cause.",
        ("Goodfellow, Mirza, Xiao, Courville & Bengio 2013, arXiv 1312.6211",),
        in_book=True,
    ),
    Erratum(
        "F3",
        "translation",
        "producir una secuencia de estados e insumos",
        "States and outputs: the inputs are given to the network, not produced by it.",
        (f"{_BOOK}, 6.3.1",),
    ),
    Erratum(
        "F3",
        "translation",
        "se saturan […] a un valor pequeño cuando z es pequeño y son extremadamente sensibles a su insumo "
        "cuando z está cerca de 0",
        "They saturate low where z is very negative, not where it is small. The sensitivity near 0 is the "
        "largest they have, but not extreme: the sigmoid's slope there is ¼.",
        (_SHOWN,),
    ),
    Erratum(
        "F4",
        "translation",
        "una capa lineal y al menos una capa escondida lineal con cualquier función de activación que "
        "comprima […] puede aproximar cualquier función medible en el sentido de Borel […] con cualquier "
        "cantidad de error",
        "The output layer is linear, the hidden one is not: its activation squashes. And for merely "
        "measurable functions the error is small except on inputs of small probability; it is small "
        "everywhere, on a closed and bounded set, for continuous ones.",
        ("Hornik, Stinchcombe & White 1989",),
    ),
    Erratum(
        "F4",
        "translation",
        "las funciones representables con una red rectificadora puede requerir un número exponencial de "
        "unidades escondidas con una red simple",
        "Functions of a deep rectifier network («profunda» is missing) may need exponentially many units in "
        "a shallow one, of a single hidden layer. A shallow rectifier network is a rectifier network too.",
        (f"{_BOOK}, 6.4.1", Measured("F4.4", "exponentially many")),
    ),
    Erratum(
        "F4",
        "mathematics",
        "el número de regiones lineales […] es, precisamente, O( (n sobre d)^{d(l−1)} n^d )",
        "(n/d), a fraction, not a binomial coefficient, and not precisely: Ω((n/d)^{d(l−1)} n^d) bounds from "
        "below what the best weights reach. With the binomial, d = 2, n = 4, l = 3 gives 20,736 regions, "
        "where no network of that shape can have more than 11³ = 1,331.",
        ("Montúfar, Pascanu, Cho & Bengio 2014", _SHOWN, Measured("F4.3", "as printed")),
        in_book=True,
    ),
    Erratum(
        "F4",
        "mathematics",
        "En el caso de redes maxout con k filtros lineales por unidad, el número de regiones lineales es "
        "O(k^{(l−1)+d})",
        "At least k^{l−1} k^d for suitable weights, in layers of d units each: again a lower bound on the "
        "most that can be reached, Ω and not O, and not the number that a given network has.",
        (
            "Montúfar, Pascanu, Cho & Bengio 2014",
            Measured("F4.3", "maxout reaches it"),
            Measured("F4.3", "random maxout networks"),
        ),
        in_book=True,
    ),
    Erratum(
        "F4",
        "translation",
        "la función que se quiere aprender involucra la composición de varias funciones lineales simples",
        "Simpler functions, not linear ones: a composition of linear functions is one linear function, and "
        "depth would bring nothing.",
        (f"{_BOOK}, 6.4.1", _SHOWN),
    ),
    Erratum(
        "F4",
        "translation",
        "Empíricamente, mayor profundidad no parece resultar en una mejor generalización",
        "The «no» is a slip of translation: the book, whose sentence this is, says that greater depth does "
        "seem to result in better generalization. Whether it does is another question, which a claim "
        "measures.",
        (f"{_BOOK}, 6.4.1", "Goodfellow, Bulatov, Ibarz, Arnoud & Shet 2014"),
    ),
    Erratum(
        "F4",
        "translation",
        "Saltarse estas conexiones hace más fácil para el gradiente fluir de las capas de entrenamiento a "
        "capas más cercas de los insumos",
        "Having the skip connections makes it easier, not skipping them, and the gradient flows from the "
        "output layers to those nearer the input.",
        (f"{_BOOK}, 6.4.2",),
    ),
    Erratum(
        "F5",
        "mathematics",
        "hasta que produce un coste escalar J(θ) […]. Esto puede causar problemas para diversas capas "
        "posteriores, dado que no se podría obtener la derivada para todas ellas",
        "It causes none: a scalar cost is what back-propagation starts from, and one backward pass gives its "
        "derivative in every layer.",
        (f"{_BOOK}, 6.5", Measured("F5.1", "right gradients")),
    ),
    Erratum(
        "F5",
        "translation",
        "el producto puntual se realiza para cada nodo, […] para los mismos nodos hijos de u⁽ⁱ⁾",
        "A dot product (producto escalar), over the children u⁽ⁱ⁾ of u⁽ʲ⁾: an element-wise product would "
        "leave out the sum of the formula above it.",
        (f"{_BOOK}, 6.5.3",),
    ),
    Erratum(
        "C6",
        "mathematics",
        "son cero en todas partes menos por un conjunto finito de puntos (también llamado padding)",
        "That is finite support, which turns the infinite sum into a finite one. Padding is something else: "
        "zeros put around the stored values, so that the kernel can also stand at and over the edge.",
        (f"{_BOOK}, 9.1",),
    ),
    Erratum(
        "C6",
        "mathematics",
        "((m₁ − m₂ + 2P)/S + 1) × ((n₁ − n₂ + 2P)/S + 1)",
        "The quotients are rounded down: ⌊(m − k + 2P)/S⌋ + 1. As printed, 28 pixels with a kernel of 3, P = "
        "1 and S = 2 give 14.5. Nor is the result always smaller than the image: with S = 1 and 2P = k − 1 "
        "it is as large, with more padding larger.",
        (_SHOWN,),
    ),
    Erratum(
        "C6",
        "mathematics",
        "específicamente, la matriz que tendríamos sería una circulante: una matriz cuadrada",
        "The matrix printed below it is Toeplitz, not circulant: it has n + m − 1 rows and n columns, and "
        "nothing comes back in at the other side. A circulant matrix is periodic convolution; it is the "
        "printed one's linear convolution only once x and h are filled with zeros to n + m − 1.",
        (_SHOWN,),
    ),
    Erratum(
        "C6",
        "mathematics",
        "una matriz de submatrices circulantes (que a su vez también es circulante)",
        "Circulant in its blocks, and each block is circulant; as a matrix of numbers it is not circulant: "
        "from one row to the next of a block row, entries turn within their blocks, not along the whole row.",
        (_SHOWN,),
    ),
    Erratum(
        "C6",
        "print",
        "a partir de las filas de A (en orden inverso), y el vector b se construye apilando las filas de la "
        "matriz B",
        "In the same order, both from the last row: with the blocks from below and b from above the product "
        "is not A ∗ B. The example then prints A once more as B, and its X again in place of the vector b.",
        (_SHOWN,),
    ),
    Erratum(
        "C6",
        "print",
        "la capa receptiva de s₃ son las tres unidades x₂, x₃ y x₅",
        "x₂, x₃ and x₄: a kernel of three taps sees three neighbors.",
        (_SHOWN,),
    ),
    Erratum(
        "C6",
        "translation",
        "por lo que las conexiones directas […] son más huecas, las unidades en las primeras capas pueden "
        "estar indirectamente conectadas a toda o a la mayoría de la imagen",
        "The units of the deeper layers are, and that although direct connections are sparse, not because of "
        "it. A unit of the first layer sees no more than its kernel.",
        (_SHOWN, f"{_BOOK}, 9.2"),
    ),
    Erratum(
        "C6",
        "mathematics",
        "conv(g(I)) ⇔ g(conv(I′))",
        "conv(g(I)) = g(conv(I)), an equation between images. With I′ = g(I) on the right, the shift would "
        "be applied twice.",
        (_SHOWN, Measured("C6.6", "shift, periodic")),
    ),
    Erratum(
        "C6",
        "translation",
        "la norma L² para una vecindad triangular",
        "Rectangular, like the windows of the maximum and of the mean.",
        (f"{_BOOK}, 9.3",),
    ),
    Erratum(
        "C6",
        "mathematics",
        "regiones de agregación con un espacio entre ellas de k píxeles […] la siguiente capa tiene k veces "
        "menos insumos que procesar",
        "k times along one axis: of an image k² times fewer, of a volume k³.",
        (_SHOWN, f"{_BOOK}, 9.3", Measured("C6.8", "work of the next layer")),
        in_book=True,
    ),
    Erratum(
        "C7",
        "mathematics",
        "Using convolution across the frequency axis […] the same melody played in a different octave "
        "produces the same representation but at a different height",
        "Only with a logarithmic frequency axis. The rows of a Fourier transform are equally spaced in "
        "frequency: an octave doubles every frequency and so the distances between the overtones, which is a "
        "scaling and not a shift.",
        (_SHOWN, f"{_BOOK}, 9.7"),
        in_book=True,
    ),
    Erratum(
        "R8",
        "translation",
        "La operación de convolución permite que la red aprenda parámetros a través del tiempo, pero es "
        "simple (solo tiene una capa)",
        "It lets the network share parameters over time, but it is shallow: how far an output sees is set by "
        "the kernel and the number of layers, while a recurrence reaches back to the first step. Shallow "
        "need not be one layer.",
        (f"{_BOOK}, 10",),
    ),
    Erratum(
        "R9",
        "translation",
        "Las redes recurrentes que producen un insumo en cada momento del tiempo",
        "An output at each step («un resultado»), as in the two patterns that follow.",
        (f"{_BOOK}, 10.2",),
    ),
    Erratum(
        "R9",
        "mathematics",
        "∇_h⁽ᵗ⁾ L = Wᵀ (∇_h⁽ᵗ⁺¹⁾ L) diag(1 − (h⁽ᵗ⁺¹⁾)²) + Vᵀ ∇_o⁽ᵗ⁾ L",
        "Wᵀ diag(1 − (h⁽ᵗ⁺¹⁾)²) ∇_h⁽ᵗ⁺¹⁾ L: the diagonal stands between Wᵀ and the gradient. As printed a "
        "column is multiplied by a matrix from the right. Read as a product by elements, the slopes of tanh "
        "would scale what comes out of Wᵀ instead of what goes in, and the gradient is another one.",
        (_SHOWN, f"{_BOOK}, 10.2.2"),
        in_book=True,
    ),
    Erratum(
        "R9",
        "print",
        "diag(1 − (h⁽ᵗ⁺¹⁾)²) = [1 − (h₁⁽ᵗ⁺¹⁾)² … 0; …; 0 … 1 − (h_τ⁽ᵗ⁺¹⁾)²]",
        "The last entry belongs to the last hidden unit, h_n; τ counts the steps.",
        (_SHOWN,),
    ),
    Erratum(
        "R9",
        "print",
        "∇_V L = Σ_t (∇_o⁽ᵗ⁾ L)ᵀ [h⁽ᵗ⁾]ᵀ",
        "Σ_t (∇_o⁽ᵗ⁾ L) [h⁽ᵗ⁾]ᵀ, a sum of outer products, as in the lines for W and U. A row times a row is "
        "not defined.",
        (_SHOWN, f"{_BOOK}, 10.2.2"),
    ),
    Erratum(
        "R9",
        "translation",
        "se puede aplicar a cualquier RNN, más solo a RNNs cuyo resultado sea una secuencia de símbolos",
        "To any recurrent net and not only («y no solo») to those that put out symbols, as the bracket after "
        "it says: it serves for sequences of real numbers too.",
        (f"{_BOOK}, 10.2.3",),
    ),
    Erratum(
        "R12",
        "print",
        "h⁽ᵗ⁾ = W h⁽ᵗ⁻¹⁾ ⇒ h⁽ᵗ⁾ = (Wᵗ)ᵀ h⁽⁰⁾",
        "h⁽ᵗ⁾ = Wᵗ h⁽⁰⁾. The transpose belongs to the recurrence h⁽ᵗ⁾ = Wᵀ h⁽ᵗ⁻¹⁾, with which the book "
        "begins. The next line, Qᵀ Λᵗ Q h⁽⁰⁾, needs a symmetric W, and for that one the two agree.",
        (_SHOWN, f"{_BOOK}, 10.7"),
    ),
    Erratum(
        "R12",
        "translation",
        "Cualquier componente de h⁽⁰⁾ que no esté alineado con el vector propio será eventualmente "
        "descartado",
        "With the eigenvector of the eigenvalue largest in magnitude: its share of the state tends to one.",
        (_SHOWN, f"{_BOOK}, 10.7"),
    ),
    Erratum(
        "R12",
        "translation",
        "pueden evitar el problema de la explosión y la desaparición de parámetros",
        "Of gradients: the parameters neither explode nor vanish.",
        (f"{_BOOK}, 10.7",),
    ),
)
"""In the order of the notes."""
